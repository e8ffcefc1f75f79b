import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Call, trace } from "../crash/strace.ts";
import { type ManifestHost, signPath, startManifestHost } from "../manifest/certs.ts";
import { startCluster } from "../support/cluster-server.ts";
import { runCommand, scriptPath } from "../support/script.ts";
import { isRunning, until } from "../support/wait.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const signed = (host: ManifestHost) => host.relay.passed.filter(({ path }) => path === signPath).length;

/** Fails unless the present key belongs to the certificate, according to openssl. */
const checkMatch = `key=$(openssl pkey -in "$VAULT_HELPER_KEY" -pubout) || exit 1
  cert=$(openssl x509 -in "$VAULT_HELPER_CERTIFICATE" -pubkey -noout) || exit 2
  openssl verify -CAfile "$VAULT_HELPER_CA" "$VAULT_HELPER_CERTIFICATE" > /dev/null || exit 3
  test "$key" = "$cert" || exit 4
  echo "$VAULT_HELPER_CHANGED $VAULT_HELPER_SERIAL $(openssl x509 -in "$VAULT_HELPER_CERTIFICATE" -noout -serial)" >> $1`;

describe("a hook", () => {
  test("runs once, after key, certificate and CA are in place together", async () => {
    await using host = await startManifestHost(cluster);
    host.write("a", host.onChange(checkMatch));
    expect((await host.issue()).code).toBe(0);
    host.write("a", `key_type = "ed25519"\n${host.onChange(checkMatch)}`);
    expect((await host.issue()).code).toBe(0);
    host.write("a", `key_type = "ed25519"\nsan_hosts = ["b"]\n${host.onChange(checkMatch)}`);
    expect((await host.issue()).code).toBe(0);
    expect(
      host
        .logged()
        .map((line) =>
          line.replace(/ 0*([0-9a-f]+) serial=0*(\w+)$/, (_, ours, theirs) =>
            ours === theirs.toLowerCase() ? "" : " another",
          ),
        ),
    ).toEqual(["certificate key ca", "certificate key", "certificate"]);
  });

  test("gets no token, and its output goes to the log", async () => {
    await using host = await startManifestHost(cluster);
    host.write("a", host.onChange("env; echo to error >&2"));
    const { code, stdout, stderr } = await host.run("issue-cert", ["--config-dir", host.certs], {
      VAULT_TOKEN: cluster.rootToken,
      BAO_TOKEN: cluster.rootToken,
    });
    expect(code).toBe(0);
    expect(stderr).toContain(`issue-cert: VAULT_HELPER_CERTIFICATE=${host.destinationOf("a")}.pem\n`);
    expect(stderr).toContain("issue-cert: to error\n");
    expect(stderr + stdout).not.toContain(cluster.rootToken);
    expect(stderr).not.toMatch(/_TOKEN|_ADDR|INIT_ROLE/);
  });

  test("that fails makes every run end with 75, without a new certificate, until it succeeds", async () => {
    await using host = await startManifestHost(cluster);
    const flag = join(host.path, "flag");
    host.write("a", host.onChange(`echo a >> $1; test -e ${flag}`));
    host.write("b", host.onChange("echo b >> $1"));
    for (let time = 0; time < 3; time++) {
      const { code, stderr } = await host.issue();
      expect([code, stderr]).toEqual([
        75,
        expect.stringContaining("(for a): it ended with 1\n  the next run tries it again\n"),
      ]);
    }
    expect([signed(host), host.logged()]).toEqual([2, ["a", "b", "a", "a"]]);
    writeFileSync(flag, "");
    const last = await host.issue();
    expect([last.code, last.stdout]).toEqual([0, expect.stringContaining("(for a): done\n")]);
    expect(await host.issue()).toEqual({ code: 0, stdout: "", stderr: "" });
    expect([signed(host), host.logged().length]).toEqual([2, 5]);
  });

  test("that hangs is killed, and stays pending", async () => {
    await using host = await startManifestHost(cluster);
    host.write("a", `hook_timeout = "500ms"\n${host.onChange("sleep 1000 & echo $! >> $1; wait")}`);
    for (let time = 0; time < 2; time++) {
      const { code, stderr } = await host.issue();
      expect([code, stderr]).toEqual([75, expect.stringContaining("it did not end within 0.5 s")]);
    }
    const pids = host.logged().map(Number);
    expect([signed(host), pids.length]).toEqual([1, 2]);
    await until(() => !pids.some(isRunning));
  });

  test("is killed at the run's time limit, no other is started, and the next run does both", async () => {
    await using host = await startManifestHost(cluster);
    host.write("a", host.onChange("echo a >> $1; sleep 1000"));
    host.write("b", host.onChange("echo b >> $1"));
    const { code } = await host.issue("--timeout", "2s");
    expect([code, host.logged()]).toEqual([75, ["a"]]);
    host.write("a", host.onChange("echo again >> $1"));
    expect((await host.issue()).code).toBe(0);
    expect([signed(host), host.logged()]).toEqual([2, ["a", "again", "b"]]);
  });

  test("left pending by an earlier run runs while the server is away", async () => {
    let isAway = false;
    await using host = await startManifestHost(cluster, () =>
      isAway ? Response.json({ errors: [] }, { status: 503 }) : undefined,
    );
    host.write("a", host.onChange("echo a >> $1"));
    expect((await host.issue("--hooks", "later")).code).toBe(0);
    isAway = true;
    expect((await host.issue("--timeout", "20s")).code).toBe(75);
    expect(host.logged()).toEqual(["a"]);
  });
});

describe("issue-cert --hooks", () => {
  test("later leaves hooks pending, and only runs them, without a server", async () => {
    await using host = await startManifestHost(cluster);
    host.write("a", host.onChange("echo a >> $1"));
    const later = await host.issue("--hooks", "later");
    expect([later.code, host.logged()]).toEqual([0, []]);
    host.relay.reset();
    const only = await host.issue("--hooks", "only");
    expect([only.code, only.stderr, host.logged(), host.relay.passed]).toEqual([0, "", ["a"], []]);
    expect(await host.issue("--hooks=only")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(host.logged()).toEqual(["a"]);
  });

  test("only issues no certificate that is due", async () => {
    await using host = await startManifestHost(cluster);
    host.write("a", host.onChange("echo a >> $1"));
    expect(await host.issue("--hooks", "only")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect([host.relay.passed, existsSync(join(host.path, "ssl"))]).toEqual([[], false]);
  });
});

describe("units", () => {
  /** Runs in its own mount namespace, with a stand-in for systemctl first on the hooks' path. */
  async function issueWithSystemctl(
    host: ManifestHost,
    script: string,
  ): Promise<{ code: number; said: string }> {
    const bin = join(host.path, "sbin");
    mkdirSync(bin, { recursive: true });
    writeFileSync(join(bin, "systemctl"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const words = 'mount --bind "$0" /usr/local/sbin && exec "$@"';
    const unshare = ["unshare", process.getuid?.() === 0 ? "-m" : "-rm", "sh", "-c", words, bin];
    const issue = [await scriptPath("issue-cert"), "--config-path", host.config, "--config-dir", host.certs];
    const { code, stdout, stderr } = await runCommand([...unshare, ...issue], { env: host.env });
    return { code, said: stdout + stderr };
  }

  test("that several certificates name are reloaded once, or restarted if one asks for that", async () => {
    await using host = await startManifestHost(cluster);
    host.write("a", 'reload = ["etcd.service", "shared.service"]');
    host.write("b", 'reload = ["etcd.service"]\nrestart = ["b@1.service"]');
    host.write("c", `restart = ["shared.service"]\n${host.onChange("echo command >> $1")}`);
    const log = join(host.path, "hook.log");
    const { code, said } = await issueWithSystemctl(host, `echo "systemctl $*" >> ${log}`);
    expect([code, host.logged()]).toEqual([
      0,
      [
        "command",
        "systemctl try-reload-or-restart -- etcd.service",
        "systemctl try-restart -- shared.service",
        "systemctl try-restart -- b@1.service",
      ],
    ]);
    expect(said).toContain("reload etcd.service (for a, b): done\n");
    expect(said).toContain("restart shared.service (for a, c): done\n");
  });

  test("are restarted again once a command that had failed has succeeded", async () => {
    await using host = await startManifestHost(cluster);
    const [flag, log] = [join(host.path, "flag"), join(host.path, "hook.log")];
    host.write("a", `reload = ["a.service"]\n${host.onChange(`echo a >> $1; test -e ${flag}`)}`);
    host.write("b", `reload = ["b.service"]\n${host.onChange("echo b >> $1")}`);
    const systemctl = `echo "$3" >> ${log}; test "$3" != a.service || ! test -e ${flag} || test -e ${flag}2`;
    const codes: number[] = [];
    for (const made of [undefined, undefined, flag, `${flag}2`, undefined]) {
      if (made !== undefined) writeFileSync(made, "");
      codes.push((await issueWithSystemctl(host, systemctl)).code);
    }
    expect(codes).toEqual([75, 75, 75, 0, 0]);
    expect(host.logged()).toEqual([
      ...["a", "b", "a.service", "b.service"],
      // As long as the command fails, its unit is not touched.
      "a",
      // Its unit fails now, and is the only pending hook.
      ...["a", "a.service"],
      "a.service",
    ]);
    expect(signed(host)).toBe(2);
  });

  test("that fail are tried again for all certificates that name them, and others are not", async () => {
    await using host = await startManifestHost(cluster);
    host.write("a", 'reload = ["etcd.service", "fine.service"]');
    host.write("b", 'restart = ["etcd.service"]');
    const log = join(host.path, "hook.log");
    const fail = `echo "$*" >> ${log}; case "$*" in *etcd*) echo it hangs >&2; exit 1;; esac`;
    const first = await issueWithSystemctl(host, fail);
    expect(first.code).toBe(75);
    expect(first.said).toContain("issue-cert: it hangs\n");
    expect(first.said).toContain("restart etcd.service (for a, b): it ended with 1");
    const second = await issueWithSystemctl(host, `echo "$*" >> ${log}`);
    expect([second.code, signed(host)]).toEqual([0, 2]);
    expect(host.logged()).toEqual([
      "try-restart -- etcd.service",
      "try-reload-or-restart -- fine.service",
      "try-restart -- etcd.service",
    ]);
  });

  test("that don't exist are noted once, and keep nothing pending", async () => {
    await using host = await startManifestHost(cluster);
    const log = join(host.path, "hook.log");
    host.write("a", 'reload = ["none.service", "tmpl@.service"]\nrestart = ["init.scope", "fails.service"]');
    // systemctl's exit code and message.
    const systemctl = `echo "$3" >> ${log}; echo "systemctl on $3" >&2
      case $3 in none.service) exit 5;; init.scope) exit 3;; *) exit 1;; esac`;
    const { code, said } = await issueWithSystemctl(host, systemctl);
    expect(code).toBe(75);
    expect(said.split("\n").slice(1, -1)).toEqual([
      "issue-cert: systemctl on fails.service",
      "issue-cert: reload none.service (for a): this host has no such unit",
      "issue-cert: reload tmpl@.service (for a): it is a template: name one of its units",
      "issue-cert: restart init.scope (for a): a unit of this kind can't be restarted",
      "issue-cert: restart fails.service (for a): it ended with 1",
      "  the next run tries it again",
    ]);
    const again = await issueWithSystemctl(host, systemctl.replace("exit 1", "exit 0"));
    expect([again.code, signed(host)]).toEqual([0, 1]);
    expect(again.said).toContain("restart fails.service (for a): done\n");
    expect(host.logged()).toEqual([
      ...["none.service", "tmpl@.service", "init.scope", "fails.service"],
      "fails.service",
    ]);
  });
});

describe("a run that is cut off", () => {
  /** Runs it traced, and kills it at a call if one is given. */
  async function traced(host: ManifestHost, killAt?: Call) {
    const command = [
      await scriptPath("issue-cert"),
      "--config-path",
      host.config,
      "--config-dir",
      host.certs,
    ];
    const fault =
      killAt === undefined ? {} : { fault: { call: killAt.name, nth: killAt.nth, what: "signal=KILL" } };
    return await trace(command, { env: host.env, folder: join(host.path, "ssl"), ...fault });
  }

  const indexOf = (calls: readonly Call[], name: string, path: RegExp) =>
    calls.findIndex((call) => call.name === name && path.test(call.target ?? call.path ?? ""));

  test("has durably noted what is pending before the switch", async () => {
    await using host = await startManifestHost(cluster);
    host.write("a", host.onChange("true"));
    const { code, calls } = await traced(host);
    expect(code).toBe(0);
    const noted = indexOf(calls, "rename", /\/pending$/);
    const switched = indexOf(calls, "rename", /\/current$/);
    const order = [
      indexOf(calls, "fsync", /\.pending\.tmp-/),
      noted,
      noted + 1 + indexOf(calls.slice(noted + 1), "fsync", /\.a\.set$/),
      switched,
      indexOf(calls, "unlink", /\/pending$/),
    ];
    expect(order).toEqual(order.toSorted((a, b) => a - b));
    expect(order).not.toContain(-1);
  });

  test("between the switch and the hook makes the next run do the hook, without a new certificate", async () => {
    await using host = await startManifestHost(cluster);
    host.write("a", host.onChange("echo run >> $1"));
    const { calls } = await traced(host);
    expect(host.logged()).toEqual(["run"]);
    const after = calls[indexOf(calls, "rename", /\/current$/) + 1];
    if (after === undefined) throw new Error("nothing comes after the switch");

    await using other = await startManifestHost(cluster);
    other.write("a", other.onChange("echo run >> $1"));
    expect((await traced(other, after)).code).not.toBe(0);
    expect([other.file("a.pem").startsWith("-----BEGIN CERTIFICATE"), other.logged()]).toEqual([true, []]);
    expect((await other.issue()).code).toBe(0);
    expect([signed(other), other.logged()]).toEqual([1, ["run"]]);
  });

  test("by SIGKILL while a hook runs makes the next run do it again, without a new certificate", async () => {
    await using host = await startManifestHost(cluster);
    const child = await startWithHook(host);
    child.kill("SIGKILL");
    await child.exited;
    process.kill(Number(host.logged()[0]), "SIGKILL");
    await expectHookAgain(host);
  });

  test.each([
    ["SIGTERM", 143],
    ["SIGINT", 130],
  ] as const)("by %s while a hook runs ends the hook, and has it run again", async (name, code) => {
    await using host = await startManifestHost(cluster);
    const child = await startWithHook(host);
    child.kill(name);
    expect([await child.exited, await child.stderr.text()]).toEqual([
      code,
      expect.stringContaining("the run ended before the hook did"),
    ]);
    await until(() => !isRunning(Number(host.logged()[0])));
    await expectHookAgain(host);
  });
});

/** A run with a hook that does not end, and whose process id is in the log. */
async function startWithHook(host: ManifestHost) {
  host.write("a", host.onChange("echo $$ >> $1; exec sleep 1000"));
  const child = Bun.spawn([await scriptPath("issue-cert"), "-p", host.config, "--config-dir", host.certs], {
    env: { ...host.env },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  await until(() => host.logged().length === 1);
  return child;
}

/** Expects that the next run does the hook, without a new certificate. */
async function expectHookAgain(host: ManifestHost): Promise<void> {
  host.write("a", host.onChange("echo again >> $1"));
  expect((await host.issue()).code).toBe(0);
  expect([signed(host), host.logged()[1]]).toEqual([1, "again"]);
}
