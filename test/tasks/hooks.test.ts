import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Member } from "../../lib/host/certificate-place.ts";
import { lockPlace } from "../../lib/host/certificate-write.ts";
import { readPending } from "../../lib/host/pending.ts";
import { type Manifest, parseManifest } from "../../lib/manifest/manifest.ts";
import { pendingHooks, runPendingHooks } from "../../lib/tasks/hooks.ts";
import { readCertificates } from "../../lib/x509/certificate.ts";
import { temporaryFolder } from "../support/folder.ts";
import { opensslEcKey } from "../support/openssl.ts";
import { createCa } from "../support/set.ts";
import { isRunning, until } from "../support/wait.ts";

const ca = createCa();
const key = opensslEcKey("P-256");
const files = { key, certificate: ca.sign(key, { commonName: "it" }), ca: ca.pem, request: "{}" };
const signal = new AbortController().signal;

/** A folder with changed certificates, and shell commands as their hooks. */
function host() {
  const folder = temporaryFolder();
  const path = (name: string) => join(folder.path, name);
  const log = path("log");
  const lines: string[] = [];
  return {
    path,
    lines,
    /** A command that runs a shell script; `$1` is the log. */
    shell: (words: string): string[] => ["/bin/sh", "-c", words, "hook", log],
    /** The lines that the commands have written to the log. */
    logged: () => (existsSync(log) ? readFileSync(log, "utf8").trimEnd().split("\n") : []),
    manifest(commands: readonly string[][], more = "", name = "etcd"): Manifest {
      const text = `sign_path = "demo/pki/etcd-k8s/sign/server"
        common_name = "it"
        destination = "${path(`ssl/${name}`)}"
        on_change = ${JSON.stringify(commands)}
        ${more}`;
      return parseManifest(text, path(`${name}.toml`), { hostName: "h", ipv4: undefined, ipv6: undefined });
    },
    run: (...manifests: Manifest[]) =>
      runPendingHooks(manifests, { signal, onLine: (line) => lines.push(line) }),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

async function change(
  { destination }: Manifest,
  pending: readonly Member[] = ["certificate"],
): Promise<void> {
  using place = await lockPlace(destination, undefined, { signal });
  place.replace(files, {}, pending);
}

describe("runPendingHooks()", () => {
  test("runs nothing if nothing was issued, or nothing has changed since", async () => {
    using it = host();
    const manifest = it.manifest([it.shell("echo run >> $1")]);
    expect(await it.run(manifest)).toEqual({ results: [], failures: [] });
    expect(existsSync(it.path("ssl"))).toBe(false);
    await change(manifest, []);
    expect(await it.run(manifest)).toEqual({ results: [], failures: [] });
    expect(it.logged()).toEqual([]);
  });

  test("runs each command once for a change, in their order", async () => {
    using it = host();
    const manifest = it.manifest([it.shell("echo a >> $1"), it.shell("echo b >> $1")]);
    await change(manifest);
    const { results } = await it.run(manifest);
    expect(results.map(({ hook, manifests, failure }) => [hook, manifests, failure])).toEqual([
      [`/bin/sh -c "echo a >> $1" hook ${it.path("log")}`, ["etcd"], undefined],
      [`/bin/sh -c "echo b >> $1" hook ${it.path("log")}`, ["etcd"], undefined],
    ]);
    expect((await it.run(manifest)).results).toEqual([]);
    expect(it.logged()).toEqual(["a", "b"]);
  });

  test("passes arguments unchanged, without a shell", async () => {
    using it = host();
    const words = ["; touch stray", "$HOME", "*", "a b", "`id`", "-n"];
    const manifest = it.manifest([["/usr/bin/printf", "<%s>\\n", ...words]]);
    await change(manifest);
    await it.run(manifest);
    expect(it.lines).toEqual(words.map((word) => `<${word}>`));
    expect(existsSync("stray")).toBe(false);
  });

  test("passes name, paths, serial number and changes, and nothing of its own environment", async () => {
    using it = host();
    const manifest = it.manifest([["/usr/bin/env"]]);
    await change(manifest, ["certificate", "key"]);
    process.env.VAULT_TOKEN = "hvs.secret";
    try {
      await it.run(manifest);
    } finally {
      delete process.env.VAULT_TOKEN;
    }
    const destination = it.path("ssl/etcd");
    expect(it.lines.sort()).toEqual([
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      `VAULT_HELPER_CA=${destination}-ca.pem`,
      `VAULT_HELPER_CERTIFICATE=${destination}.pem`,
      "VAULT_HELPER_CHANGED=certificate key",
      `VAULT_HELPER_KEY=${destination}-key.pem`,
      "VAULT_HELPER_NAME=etcd",
      `VAULT_HELPER_SERIAL=${readCertificates(files.certificate, "it")[0].x509.serialNumber.toLowerCase()}`,
    ]);
  });

  test("passes everything that has changed since it last succeeded", async () => {
    using it = host();
    const manifest = it.manifest([it.shell('echo "$VAULT_HELPER_CHANGED" >> $1')]);
    await change(manifest, ["certificate"]);
    await change(manifest, ["certificate", "ca"]);
    await it.run(manifest);
    expect(it.logged()).toEqual(["certificate ca"]);
  });

  test("leaves units for a change of the CA alone after another change", async () => {
    using it = host();
    const units = 'reload_on_ca = ["a.service"]\nrestart_on_ca = ["b.service"]\nrestart = ["c.service"]';
    const manifest = it.manifest([], units);
    const hooks = () => pendingHooks([manifest]).results.map(({ hook }) => hook);
    await change(manifest, ["certificate", "key"]);
    expect(hooks()).toEqual(["restart c.service"]);
    await change(manifest, ["ca"]);
    expect(hooks()).toEqual(["restart c.service", "reload a.service", "restart b.service"]);
  });

  test("restarts a unit once that is named for any change and for a change of the CA", async () => {
    using it = host();
    const manifest = it.manifest([], 'reload = ["a.service"]\nrestart_on_ca = ["a.service"]');
    const hooks = () => pendingHooks([manifest]).results.map(({ hook }) => hook);
    await change(manifest, ["certificate"]);
    expect(hooks()).toEqual(["reload a.service"]);
    await change(manifest, ["ca"]);
    expect(hooks()).toEqual(["restart a.service"]);
  });

  test("has nothing pending once only hooks for another change are left", async () => {
    using it = host();
    const manifest = it.manifest([], 'restart_on_ca = ["a.service"]');
    await change(manifest, ["certificate"]);
    expect(await it.run(manifest)).toEqual({ results: [], failures: [] });
    expect(readPending(manifest.destination).changed).toEqual([]);
  });

  test("runs failed hooks again, and others not, until all have succeeded", async () => {
    using it = host();
    const flag = it.path("flag");
    const manifest = it.manifest([
      it.shell("echo first >> $1"),
      it.shell(`echo second >> $1; test -e ${flag} || exit 7`),
      it.shell("echo third >> $1"),
    ]);
    await change(manifest);
    const { results } = await it.run(manifest);
    expect(results.map(({ failure }) => failure)).toEqual([undefined, "it ended with 7", undefined]);
    expect((await it.run(manifest)).results.map(({ failure }) => failure)).toEqual(["it ended with 7"]);
    expect(pendingHooks([manifest]).results.length).toBe(1);
    writeFileSync(flag, "");
    expect((await it.run(manifest)).results.map(({ failure }) => failure)).toEqual([undefined]);
    expect([(await it.run(manifest)).results, pendingHooks([manifest])]).toEqual([
      [],
      { results: [], failures: [] },
    ]);
    expect(it.logged()).toEqual(["first", "second", "third", "second", "second"]);
  });

  test("runs all hooks again for the next change", async () => {
    using it = host();
    const manifest = it.manifest([it.shell("echo a >> $1"), it.shell("echo b >> $1; exit 1")]);
    await change(manifest);
    await it.run(manifest);
    await change(manifest);
    await it.run(manifest);
    expect(it.logged()).toEqual(["a", "b", "a", "b"]);
  });

  test("keeps two commands apart that look the same", async () => {
    using it = host();
    const [one, two] = [it.path("a b"), it.path("a")];
    for (const path of [one, two]) writeFileSync(path, "#!/bin/sh\nexit $#\n", { mode: 0o755 });
    const manifest = it.manifest([[one], [two, "b"]]);
    await change(manifest);
    expect((await it.run(manifest)).results.map(({ failure }) => failure)).toEqual([
      undefined,
      "it ended with 1",
    ]);
    expect((await it.run(manifest)).results.map(({ failure }) => failure)).toEqual(["it ended with 1"]);
  });

  test("runs a repeated command once, and a command of two certificates for each of them", async () => {
    using it = host();
    const command = it.shell('echo "$VAULT_HELPER_NAME" >> $1');
    const [a, b] = [it.manifest([command, command], "", "a"), it.manifest([command], "", "b")];
    await change(a);
    await change(b);
    await it.run(b, a);
    expect(it.logged()).toEqual(["a", "b"]);
  });

  test("forgets a hook that is no longer in the manifest", async () => {
    using it = host();
    const manifest = it.manifest([it.shell("exit 1")]);
    await change(manifest);
    await it.run(manifest);
    expect(await it.run({ ...manifest, hooks: [] })).toEqual({ results: [], failures: [] });
    expect((await it.run(manifest)).results).toEqual([]);
  });
});

describe("a hook that", () => {
  test("takes too long is killed with everything it started, and runs again", async () => {
    using it = host();
    const words = "sleep 1000 & echo $! >> $1; wait";
    const manifest = it.manifest([it.shell(words)], 'hook_timeout = "300ms"');
    await change(manifest);
    for (let time = 0; time < 2; time++) {
      const { results } = await it.run(manifest);
      expect(results.map(({ failure }) => failure)).toEqual(["it did not end within 0.3 s"]);
    }
    const pids = it.logged().map(Number);
    expect(pids.length).toBe(2);
    await until(() => !pids.some(isRunning));
  });

  test("leaves a service running that keeps its output open is not waited for, and the service goes on", async () => {
    using it = host();
    const manifest = it.manifest([it.shell("sleep 1000 & echo $! >> $1; echo started")]);
    await change(manifest);
    const { results } = await it.run(manifest);
    const pid = Number(it.logged()[0]);
    try {
      expect(results.map(({ failure }) => failure)).toEqual([undefined]);
      expect(it.lines).toEqual(["started"]);
      expect(isRunning(pid)).toBe(true);
    } finally {
      process.kill(pid);
    }
  });

  test("takes too long, with a child that has left its group, does not hold up the run", async () => {
    using it = host();
    const words = "setsid sh -c 'echo $$ >> $0; exec sleep 1000' $1";
    const manifest = it.manifest([it.shell(words)], 'hook_timeout = "500ms"');
    await change(manifest);
    const { results } = await it.run(manifest);
    expect(results.map(({ failure }) => failure)).toEqual(["it did not end within 0.5 s"]);
    process.kill(Number(it.logged()[0]));
  });

  test("is killed names the signal", async () => {
    using it = host();
    const manifest = it.manifest([it.shell("kill -SEGV $$")]);
    await change(manifest);
    expect((await it.run(manifest)).results.map(({ failure }) => failure)).toEqual(["it ended with SIGSEGV"]);
  });

  test("can no longer be started says why, and runs again", async () => {
    using it = host();
    const program = it.path("hook");
    writeFileSync(program, "#!/bin/sh\necho back\n", { mode: 0o755 });
    const manifest = it.manifest([[program]]);
    await change(manifest);
    rmSync(program);
    const { results } = await it.run(manifest);
    expect(results.map(({ failure }) => failure)).toEqual([expect.stringContaining("it can't be started: ")]);
    writeFileSync(program, "#!/bin/sh\necho back\n", { mode: 0o755 });
    expect((await it.run(manifest)).results.map(({ failure }) => failure)).toEqual([undefined]);
    expect(it.lines).toEqual(["back"]);
  });

  test("is not a program stops no other hook, says so, and runs again", async () => {
    using it = host();
    const program = it.path("hook");
    writeFileSync(program, "echo without a first line that names a shell\n", { mode: 0o755 });
    const manifest = it.manifest([[program], it.shell("echo run >> $1")]);
    await change(manifest);
    const failure =
      "it can't be started: it is not a program for this machine; a script has to begin with a line like #!/bin/sh";
    expect((await it.run(manifest)).results.map((one) => one.failure)).toEqual([failure, undefined]);
    writeFileSync(program, "#!/bin/sh\necho back\n", { mode: 0o755 });
    expect((await it.run(manifest)).results.map((one) => one.failure)).toEqual([undefined]);
    expect([it.lines, it.logged()]).toEqual([["back"], ["run"]]);
  });

  test("prints has each line passed on, whole and safe for a terminal", async () => {
    using it = host();
    const words = `printf 'one\\n\\ntw'; sleep 0.1; printf 'o\\n'; printf '\\033[31mred\\n' >&2; head -c 1000000 /dev/zero | tr '\\0' x; printf end`;
    const manifest = it.manifest([it.shell(words)]);
    await change(manifest);
    await it.run(manifest);
    const long = it.lines.filter((line) => /^x*(end)?$/.test(line));
    expect(long.join("")).toBe(`${"x".repeat(1_000_000)}end`);
    expect(long.length).toBeGreaterThan(1);
    expect(it.lines.filter((line) => !long.includes(line)).sort()).toEqual(["one", "two", "\ufffd[31mred"]);
  });
});

describe("a run of hooks that", () => {
  test("is stopped kills the running hook, starts no other, and leaves both pending", async () => {
    using it = host();
    const manifest = it.manifest([it.shell("echo a >> $1; sleep 1000"), it.shell("echo b >> $1")]);
    await change(manifest);
    const stop = new AbortController();
    const running = runPendingHooks([manifest], { signal: stop.signal, onLine: () => {} });
    await until(() => it.logged().includes("a"));
    stop.abort();
    expect((await running).results.map(({ failure }) => failure)).toEqual([
      "the run ended before the hook did",
      "the run ended before the hook did",
    ]);
    expect(it.logged()).toEqual(["a"]);
    expect(pendingHooks([manifest]).results.length).toBe(2);
  });

  test("meets another run lets it do the hooks, and does not repeat them", async () => {
    using it = host();
    const manifest = it.manifest([it.shell("echo run >> $1; sleep 0.3")]);
    await change(manifest);
    const both = await Promise.all([it.run(manifest), it.run(manifest)]);
    expect(both.map(({ results }) => results.length).sort()).toEqual([0, 1]);
    expect(it.logged()).toEqual(["run"]);
  });

  test("is overtaken by the next change leaves that pending", async () => {
    using it = host();
    const manifest = it.manifest([it.shell("echo run >> $1; sleep 0.3")]);
    await change(manifest);
    const running = it.run(manifest);
    await until(() => it.logged().length === 1);
    await change(manifest, ["key"]);
    expect((await running).results.map(({ failure }) => failure)).toEqual([undefined]);
    expect(readPending(manifest.destination).changed).toEqual(["certificate", "key"]);
    await it.run(manifest);
    expect(it.logged()).toEqual(["run", "run"]);
  });

  test("finds a foreign destination does the others", async () => {
    using it = host();
    const [bad, good] = [it.manifest([], "", "bad"), it.manifest([it.shell("echo run >> $1")], "", "good")];
    await change(good);
    symlinkSync("/tmp", it.path("ssl/.bad.set"));
    const { results, failures } = await it.run(bad, good);
    expect(results.map(({ manifests, failure }) => [manifests, failure])).toEqual([[["good"], undefined]]);
    expect(failures.map(({ manifest, failure }) => [manifest.name, failure.kind])).toEqual([["bad", "file"]]);
  });

  const strangeMember = { id: "0123456789abcdef", changed: ["certificate", "strange"], done: [] };
  test.each(["not JSON", "null", '{"id": 1}', "", JSON.stringify(strangeMember)])(
    "finds broken notes (%j) acts as if everything had changed",
    async (text) => {
      using it = host();
      const manifest = it.manifest([it.shell('echo "$VAULT_HELPER_CHANGED" >> $1')]);
      await change(manifest);
      writeFileSync(it.path("ssl/.etcd.set/pending"), text);
      await it.run(manifest);
      expect(it.logged()).toEqual(["certificate key ca"]);
      expect((await it.run(manifest)).results).toEqual([]);
    },
  );

  test("finds notes on hooks that the manifest does not have drops them", async () => {
    using it = host();
    const [good, bad] = [it.shell("echo good >> $1"), it.shell("exit 1")];
    const manifest = it.manifest([good, bad]);
    await change(manifest);
    await it.run(manifest);
    const note = it.path("ssl/.etcd.set/pending");
    const noted = JSON.parse(readFileSync(note, "utf8"));
    expect(noted.done).toHaveLength(1);
    const strange = ["rm -rf /", "x".repeat(10_000), ...noted.done];
    writeFileSync(note, JSON.stringify({ ...noted, done: strange }));
    expect((await it.run(manifest)).results.map(({ failure }) => failure)).toEqual(["it ended with 1"]);
    expect(JSON.parse(readFileSync(note, "utf8"))).toEqual(noted);
    expect(it.logged()).toEqual(["good"]);
  });

  test("can't write its notes says so", async () => {
    using it = host();
    const note = it.path("ssl/.etcd.set/pending");
    // A folder in the place of the notes: rename(2) refuses to replace it, even for root.
    const manifest = it.manifest([it.shell(`rm ${note}; mkdir ${note} ${note}/full`)]);
    await change(manifest);
    const { results, failures } = await it.run(manifest);
    expect(results.map(({ failure }) => failure)).toEqual([undefined]);
    expect(failures.map(({ failure }) => failure.message)).toEqual([
      expect.stringContaining(".etcd.set/pending"),
    ]);
  });
});
