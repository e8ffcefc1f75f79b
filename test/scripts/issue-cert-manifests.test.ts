import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fingerprintOf, statMembers } from "../../lib/host/set-fingerprint.ts";
import { signPath, startManifestHost } from "../manifest/certs.ts";
import { closedWindow } from "../manifest/host.ts";
import { startCluster } from "../support/cluster-server.ts";
import { startCountingProxy } from "../support/counting-proxy.ts";
import { openssl } from "../support/openssl.ts";
import { treeOf } from "../support/tree.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());
const renewal = "auth/token/renew-self";

describe("issue-cert --config-dir", () => {
  test("renews the token once and issues everything due; then requests nothing more, touches nothing, says nothing", async () => {
    await using host = await startManifestHost(cluster);
    for (const name of ["a", "b", "c", "d"])
      host.write(name, host.onChange('echo "$VAULT_HELPER_NAME" >> $1'));
    const first = await host.issue();
    expect([first.code, first.stderr]).toEqual([0, ""]);
    for (const name of ["a", "b", "c", "d"]) {
      expect(first.stdout).toContain(
        `${name}: ${host.destinationOf(name)}.pem issued (there is none yet): valid until `,
      );
      openssl(["verify", "-CAfile", `${host.destinationOf(name)}-ca.pem`, `${host.destinationOf(name)}.pem`]);
    }
    expect(host.relay.passed.map(({ path }) => path)).toEqual([
      renewal,
      signPath,
      signPath,
      signPath,
      signPath,
      "demo/pki/etcd-overlay/issuers",
    ]);
    expect(host.logged()).toEqual(["a", "b", "c", "d"]);
    host.relay.reset();
    const before = treeOf(host.path);
    expect(await host.issue()).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(host.relay.passed.map(({ path }) => path)).toEqual([renewal]);
    expect(treeOf(host.path)).toEqual(before);
  });

  test("issues a certificate that is due, and leaves the others alone", async () => {
    await using host = await startManifestHost(cluster);
    for (const name of ["a", "b"]) host.write(name, host.onChange('echo "$VAULT_HELPER_NAME" >> $1'));
    await host.issue();
    const others = () =>
      Object.entries(treeOf(join(host.path, "ssl"))).filter(([name]) => /(^|\/)\.?a[.-]/.test(name));
    const before = others();
    expect(before.length).toBeGreaterThan(5);
    rmSync(`${host.destinationOf("b")}.pem`);
    host.relay.reset();
    expect((await host.issue()).stdout).toContain("b.pem issued (certificate missing)");
    expect(host.relay.passed.length).toBe(3);
    expect(others()).toEqual(before);
    expect(host.logged()).toEqual(["a", "b", "b"]);
  });

  test("reuses its connection: one if nothing is due, and at most one for each certificate if all are", async () => {
    await using host = await startManifestHost(cluster);
    await using proxy = await startCountingProxy(cluster.address);
    const run = () => host.run("issue-cert", ["--config-dir", host.certs], { VAULT_ADDR: proxy.address });
    for (const name of ["a", "b", "c"]) host.write(name);
    expect((await run()).code).toBe(0);
    expect(proxy.takeConnections()).toBeLessThanOrEqual(3);
    expect((await run()).code).toBe(0);
    expect(proxy.takeConnections()).toBe(1);
    rmSync(`${host.destinationOf("b")}.pem`);
    expect((await run()).stdout).toContain("issued");
    expect(proxy.takeConnections()).toBe(1);
  });

  test("reports each broken manifest with its place, does the others, and ends with the worst code", async () => {
    await using host = await startManifestHost(cluster);
    host.write("a");
    host.write("b", "nothing = 1");
    host.write("c", 'destination = "ssl/c"');
    host.write("d", 'sign_path = "demo/pki/k8s/sign/admin"');
    host.write("e");
    host.write("f", `destination = "${host.destinationOf("e")}"`);
    writeFileSync(join(host.certs, "g.toml"), "nonsense", { mode: 0o644 });
    host.write("h");
    chmodSync(join(host.certs, "h.toml"), 0o666);
    writeFileSync(join(host.certs, "i.toml~"), "nonsense");
    const { code, stdout, stderr } = await host.issue();
    expect(code).toBe(78);
    const sentences = stderr.split("\n").filter((line) => line.startsWith("issue-cert: "));
    expect(sentences.map((line) => line.replaceAll(`${host.certs}/`, ""))).toEqual([
      "issue-cert: b.toml:4: nothing is not a field of a manifest",
      "issue-cert: c.toml:3: destination has to be an absolute path, since units have no working folder",
      `issue-cert: f.toml:3: destination has ${host.destinationOf("e")}-key.pem in common with e.toml`,
      expect.stringContaining("issue-cert: g.toml:1: it is not TOML: "),
      "issue-cert: h.toml can be written by others",
      expect.stringContaining("issue-cert: d: "),
    ]);
    expect(
      stdout
        .trimEnd()
        .split("\n")
        .map((line) => line.split(":")[0]),
    ).toEqual(["a", "e"]);
  });

  test.each([
    [
      "a relative destination",
      'destination = "ssl/b"',
      "destination has to be an absolute path, since units have",
    ],
    ["an unknown key type", 'key_type = "dsa"', "key_type has to be one of rsa, ec, ed25519"],
    ["a window that never opens", 'window = "Sun 02:00-02:00"', "window is wrong: the window "],
    ["a hook that can't run", 'on_change = [["/etc/passwd"]]', 'on_change names "/etc/passwd", which is not'],
  ])("reports %s in one sentence, and does the others", async (_, field, words) => {
    await using host = await startManifestHost(cluster);
    host.write("a");
    host.write("b", field);
    const { code, stdout, stderr } = await host.issue();
    expect([code, stdout.startsWith("a: "), stdout.trimEnd().split("\n").length]).toEqual([78, true, 1]);
    const sentences = stderr.split("\n").filter((line) => line.startsWith("issue-cert: "));
    expect(sentences).toEqual([expect.stringMatching(/^issue-cert: \S+b\.toml:\d: /)]);
    expect(sentences[0]).toContain(words);
  });

  test.each([
    ["missing", "can't read the manifests in ", /no such file or folder \(ENOENT\)$/],
    ["empty", "", / holds no manifest \(\*\.toml\)$/],
    ["left with an editor's backups", "", / holds no manifest \(\*\.toml\)$/],
  ])("says in one sentence that its folder is %s, and asks no server", async (what, before, after) => {
    await using host = await startManifestHost(cluster);
    if (what === "missing") rmSync(host.certs, { recursive: true });
    if (what.startsWith("left")) writeFileSync(join(host.certs, "a.toml~"), "nonsense");
    const { code, stdout, stderr } = await host.issue();
    const [sentence = "", hint = "", ...rest] = stderr.trimEnd().split("\n");
    expect([code, stdout, rest, host.relay.passed]).toEqual([78, "", [], []]);
    expect(sentence).toStartWith(`issue-cert: ${before}${host.certs}`);
    expect(sentence).toMatch(after);
    expect(hint).not.toStartWith("issue-cert");
  });

  test("ends with the code of the certificate that fails, if all manifests are valid", async () => {
    await using host = await startManifestHost(cluster);
    host.write("a");
    host.write("b", 'sign_path = "demo/pki/k8s/sign/admin"');
    const { code, stdout, stderr } = await host.issue();
    expect([code, stdout.startsWith("a: ")]).toEqual([77, true]);
    expect(stderr).toStartWith("issue-cert: b: ");
  });

  test("says nothing but errors at log level 0", async () => {
    await using host = await startManifestHost(cluster);
    host.write("a", host.onChange("echo spoken"));
    expect(await host.issue("-l", "0")).toEqual({ code: 0, stdout: "", stderr: "" });
    host.write("b", "nothing = 1");
    expect((await host.issue("-l", "0")).stderr).toContain("b.toml:4: nothing");
  });

  test("says until when a certificate waits for its window, without asking the server", async () => {
    await using host = await startManifestHost(cluster);
    host.write("a");
    await host.issue();
    const { window, opens } = closedWindow();
    host.write("a", `key_type = "ed25519"\nwindow = "${window}"`);
    host.relay.reset();
    const { code, stdout } = await host.issue();
    expect([code, stdout]).toEqual([
      0,
      `a: ${host.destinationOf("a")}.pem is due (the key is EC P-256, not Ed25519), and waits for its window at ${opens}\n`,
    ]);
    expect(host.relay.passed.map(({ path }) => path)).toEqual([renewal]);
  });

  test("prints everything as one JSON object with --json", async () => {
    await using host = await startManifestHost(cluster);
    host.write("a", host.onChange("exit 0"));
    host.write("b", 'sign_path = "demo/pki/k8s/sign/admin"');
    host.write("c", "nothing = 1");
    const { code, stdout } = await host.issue("--json");
    expect([code, JSON.parse(stdout)]).toEqual([
      78,
      {
        broken: [expect.stringContaining("c.toml:4: nothing is not a field")],
        certificates: [
          expect.objectContaining({
            name: "a",
            outcome: "issued",
            destination: host.destinationOf("a"),
            reasons: ["there is none yet"],
          }),
          {
            name: "b",
            outcome: "failed",
            destination: host.destinationOf("b"),
            exitCode: 77,
            error: expect.any(String),
            hint: expect.stringContaining("the token needs a policy"),
          },
        ],
        hooks: [{ hook: expect.stringContaining("/bin/sh"), manifests: ["a"] }],
      },
    ]);
  });

  test("tells a certificate that can't be read with --json, and does the rest", async () => {
    await using host = await startManifestHost(cluster);
    for (const name of ["a", "b"]) host.write(name, host.onChange('echo "$VAULT_HELPER_NAME" >> $1'));
    await host.issue("--hooks", "later");
    const set = join(host.path, "ssl/.a.set/current");
    writeFileSync(join(set, "cert.pem"), "damaged");
    // As the disk would damage it: the record still describes the file.
    const record = JSON.parse(readFileSync(join(set, "request.json"), "utf8"));
    const stats = statMembers(set);
    record.checked.seal = stats && fingerprintOf(stats);
    writeFileSync(join(set, "request.json"), JSON.stringify(record));
    const { code, stdout, stderr } = await host.issue("--json");
    const error = "the certificate file holds no certificate in PEM";
    expect([code, stderr, host.logged()]).toEqual([65, `issue-cert: a: ${error}\n`, ["a", "b"]]);
    const { certificates, hooks } = JSON.parse(stdout);
    expect(certificates).toEqual([
      { name: "a", destination: host.destinationOf("a"), outcome: "failed", error, hint: null, exitCode: 65 },
      expect.objectContaining({ name: "b", outcome: "not due" }),
    ]);
    expect(hooks).toHaveLength(2);
  });

  test("refuses a folder that others can write to, and asks no server", async () => {
    await using host = await startManifestHost(cluster);
    host.write("a");
    chmodSync(host.certs, 0o777);
    const { code, stderr } = await host.issue();
    expect([code, stderr.split("\n")[0], host.relay.passed]).toEqual([
      78,
      `issue-cert: ${host.certs} can be written by others`,
      [],
    ]);
  });
});

describe("issue-cert --config", () => {
  test("does the same for one file of any name", async () => {
    await using host = await startManifestHost(cluster);
    host.write("a");
    host.write("b");
    const { code, stdout } = await host.run("issue-cert", ["--config", join(host.certs, "b.toml")]);
    expect([code, stdout.startsWith("b: ")]).toEqual([0, true]);
    expect(host.relay.passed.length).toBe(3);
  });

  test("says which file is missing", async () => {
    await using host = await startManifestHost(cluster);
    const { code, stderr } = await host.run("issue-cert", ["--config", join(host.certs, "none.toml")]);
    expect([code, stderr, host.relay.passed]).toEqual([
      78,
      `issue-cert: there is no manifest ${host.certs}/none.toml\n`,
      [],
    ]);
  });
});

describe("issue-cert --check", () => {
  test("asks no server, touches nothing, and exits with 2 if something is due", async () => {
    await using host = await startManifestHost(cluster);
    host.write("a");
    host.write("b", 'renew = "always"');
    const before = treeOf(host.path);
    const due = await host.issue("--check");
    expect([due.code, due.stdout, due.stderr]).toEqual([
      2,
      "a is due: there is none yet\nb is due: there is none yet\n",
      "",
    ]);
    expect([treeOf(host.path), host.relay.passed]).toEqual([before, []]);
    await host.issue();
    expect((await host.issue("--check")).stdout).toBe("b is due: it is renewed at each run\n");
    host.write("b");
    expect(await host.issue("--check")).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  test("lists pending hooks", async () => {
    await using host = await startManifestHost(cluster);
    host.write("a", 'reload = "etcd.service"');
    host.write("b", 'reload = "etcd.service"');
    await host.issue("--hooks", "later");
    const check = await host.issue("--check");
    expect([check.code, check.stdout]).toEqual([2, "reload etcd.service (for a, b): pending\n"]);
  });

  test("names pending hooks that can't be read, and lists the rest", async () => {
    await using host = await startManifestHost(cluster);
    host.write("a", 'reload = "etcd.service"');
    host.write("b", 'reload = "etcd.service"');
    await host.issue("--hooks", "later");
    host.write("c");
    const pending = join(host.path, "ssl/.a.set/pending");
    rmSync(pending);
    mkdirSync(pending);
    const error = `issue-cert: a: ${pending} is not a plain file\n`;
    const plain = await host.issue("--check");
    const lines = "c is due: there is none yet\nreload etcd.service (for b): pending\n";
    expect(plain).toEqual({ code: 65, stdout: lines, stderr: error });
    const json = await host.issue("--check", "--json");
    expect([json.code, json.stderr]).toEqual([65, error]);
    expect(JSON.parse(json.stdout)).toMatchObject({
      due: [{ name: "c" }],
      hooks: [{ hook: "reload etcd.service", manifests: ["b"] }],
    });
  });

  test("ends with the code of a broken manifest, and prints everything with --json", async () => {
    await using host = await startManifestHost(cluster);
    host.write("a");
    host.write("b", "nothing = 1");
    const { code, stdout, stderr } = await host.issue("--check", "--json");
    expect([code, stderr]).toEqual([
      78,
      `issue-cert: ${host.certs}/b.toml:4: nothing is not a field of a manifest\n`,
    ]);
    expect(JSON.parse(stdout)).toEqual({
      broken: [`${host.certs}/b.toml:4: nothing is not a field of a manifest`],
      due: [{ name: "a", destination: host.destinationOf("a"), reasons: ["there is none yet"] }],
      hooks: [],
    });
  });
});

describe("issue-cert refuses with 64, and does nothing, for", () => {
  const direct = [signPath, "a", "/nowhere/a"];
  test.each([
    [
      "both kinds of manifests",
      ["--config", "a.toml", "--config-dir", "b"],
      "--config and --config-dir can't be used together",
    ],
    [
      "arguments with manifests",
      ["--config-dir", "b", ...direct],
      "<sign-path> can't be used with manifests: they have a field for it",
    ],
    [
      "a field's flag with manifests",
      ["--config-dir", "b", "-s", "x"],
      "--san-hosts can't be used with manifests: they have a field for it",
    ],
    [
      "another",
      ["--config", "a.toml", "--key-type", "rsa"],
      "--key-type can't be used with manifests: they have a field for it",
    ],
    [
      "an owner",
      ["--config", "a.toml", "-o", "root"],
      "--owner can't be used with manifests: they have a field for it",
    ],
    [
      "--force",
      ["--config-dir", "b", "--force"],
      "--force can't be used with manifests: they have a field for it",
    ],
    [
      "--if-due",
      ["--config-dir", "b", "--if-due"],
      "--if-due can't be used with manifests: they have a field for it",
    ],
    [
      "--check without manifests",
      ["--check", ...direct],
      "--check and --hooks are for manifests: --config or --config-dir",
    ],
    [
      "--hooks without manifests",
      ["--hooks", "later", ...direct],
      "--check and --hooks are for manifests: --config or --config-dir",
    ],
    [
      "--hooks with another word",
      ["--hooks", "never", "--config-dir", "b"],
      "--hooks never is not a choice: use now, later or only",
    ],
    [
      "--check that would run hooks",
      ["--check", "--hooks", "only", "--config-dir", "b"],
      "--check and --hooks can't be used together: a check runs no hooks",
    ],
  ])("%s", async (_, args, sentence) => {
    await using host = await startManifestHost(cluster);
    const { code, stdout, stderr } = await host.run("issue-cert", args);
    expect([code, stdout, stderr.split("\n")[0], host.relay.passed]).toEqual([
      64,
      "",
      `issue-cert: ${sentence}`,
      [],
    ]);
  });
});
