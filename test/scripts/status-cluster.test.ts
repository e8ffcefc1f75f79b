import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argumentValues, checkArguments } from "../../lib/cli/arguments.ts";
import { readSecret } from "../../lib/vault/kv.ts";
import { status as statusScript } from "../../scripts/status.ts";
import { api } from "../cluster/api.ts";
import { readAsPrometheus } from "../metrics/prometheus.ts";
import { type ClusterServer, setUpCluster, startCluster } from "../support/cluster-server.ts";
import { temporaryFolder } from "../support/folder.ts";
import { runScript } from "../support/script.ts";

let server: ClusterServer;
let env: Readonly<Record<string, string>>;
beforeAll(async () => {
  server = await startCluster();
  env = { VAULT_ADDR: server.address, VAULT_TOKEN: server.rootToken, VAULT_MAX_RETRIES: "0" };
  for (const role of ["worker", "worker"] as const) await server.hostToken(role);
});
afterAll(() => server[Symbol.asyncDispose]());

/** The table's cells without times, and the last line. */
async function status(...args: readonly string[]) {
  const { code, stdout, stderr } = await runScript("status", ["demo", ...args], { env });
  const lines = stdout.trimEnd().split("\n");
  const rows = lines.slice(1, -1).map((line) =>
    line
      .replace(/ {2,}(\d+[ydhms]( \d+[ydhms])?|expired)(?= |$)/, "")
      .replace(/ +(\d{4}-\d{2}-\d{2} \d{2}:\d{2}|now)(?= |$)/, "")
      .replace(/ {2,}/g, " | "),
  );
  return { code, stderr, rows, summary: lines.at(-1) };
}

const secretOf = async (id: string, role: string) =>
  String((await readSecret(server.admin, `${id}/secrets/init_token_${role}`))?.init_token);

const issuer = (name: string, longest: string) =>
  `ok | issuer demo/pki/${name} | default, signs up to ${longest}`;
const none = (role: string) => `ok | tokens of demo-${role} | none`;

describe("status CLUSTER", () => {
  test("of a healthy cluster shows each thing in a line, the first to expire at the top, and ends with 0", async () => {
    const { rows, ...told } = await status();
    expect(told).toEqual({ code: 0, stderr: "", summary: "demo: 15 ok" });
    // Made within the same second, and the server reports whole seconds.
    const tokens = [
      ...["all", "etcd", "master", "worker"].map((role) => `ok | init token ${role}`),
      "ok | tokens of demo-worker | 2; the first to expire",
    ];
    expect(rows.slice(0, 5).sort()).toEqual(tokens);
    expect(rows.slice(5)).toEqual([
      issuer("etcd-k8s", "30d"),
      issuer("etcd-overlay", "30d"),
      issuer("k8s", "1y"),
      issuer("k8s-api-proxy", "30d"),
      "ok | mount demo/secrets",
      "ok | setup-mounts | nothing to change",
      none("all"),
      none("etcd"),
      none("master"),
      "ok | write-roles | nothing to change",
    ]);
  });

  test("prints the same with --json, with null for what does not exist", async () => {
    const { code, stdout } = await runScript("status", ["demo", "--json"], { env });
    const answer = JSON.parse(stdout);
    expect(code).toBe(0);
    expect(answer).toMatchObject({
      cluster: "demo",
      state: "ok",
      setup: [
        { half: "setup-mounts", file: null, state: "ok", reasons: [], mend: null, changes: [] },
        { half: "write-roles", state: "ok", reasons: [], mend: null, changes: [] },
      ],
      initTokens: [{ role: "etcd", lifeSeconds: 157_680_000 }, {}, {}, {}],
      hostTokens: [
        { role: "demo-etcd", count: 0, soonestEndSeconds: null },
        {},
        { role: "demo-worker", count: 2 },
        {},
      ],
    });
    expect(answer.mounts[0].issuers[0]).toMatchObject({
      isDefault: true,
      name: "",
      subject: "CN=Kubernetes demo/etcd-k8s CA",
      longestCertificateSeconds: 2_592_000,
      roles: [
        { role: "client", wantsSeconds: 2_592_000 },
        { role: "server", wantsSeconds: 2_592_000 },
      ],
    });
    expect(answer.mounts[0].issuers[0].notAfter).toMatch(/^20\d\d-.*Z$/);
  });

  test("compares the cluster with a given file, which also names it", async () => {
    using folder = temporaryFolder();
    const file = join(folder.path, "cluster.toml");
    writeFileSync(file, 'id = "demo"\nmax_validity_components = "7d"\n', { mode: 0o600 });
    const { code, stdout } = await runScript("status", ["--config", file], { env });
    expect(code).toBe(2);
    expect(stdout).toMatch(/^ok +setup-mounts +as the file says$/m);
    expect(stdout).toMatch(/^due +write-roles +would make 11 changes \(cluster file 1, PKI role 10\)/m);
    expect(stdout).toEndWith(`demo: 1 due, 14 ok; to fix it: write-roles --config ${file} demo\n`);
  });

  test("of a cluster that was set up with flags finds nothing to change with the same flags, and does without", async () => {
    const flags = [
      "--max-validity-ca",
      "10y",
      "--max-validity-admin=90d",
      "--max-validity-components",
      "175h",
    ];
    const setUp = await runScript("setup-mounts", ["flagged", "--max-validity-ca=10y"], { env });
    expect([setUp.code, setUp.stderr]).toEqual([0, ""]);
    await server.write("flagged/secrets/service-accounts", { key: "not asked for" });
    expect((await runScript("write-roles", ["flagged", ...flags.slice(2)], { env })).code).toBe(0);
    const ask = async (...args: readonly string[]) => {
      const { code, stdout, stderr } = await runScript("status", ["flagged", ...args], { env });
      expect(stderr).toBe("");
      return { code, summary: stdout.trimEnd().split("\n").at(-1) };
    };
    expect(await ask(...flags)).toEqual({ code: 0, summary: "flagged: 15 ok" });
    expect(await ask()).toEqual({
      code: 2,
      summary: "flagged: 2 due, 13 ok; to fix it: setup-mounts flagged; write-roles flagged",
    });
    await server.write("auth/token/revoke", { token: await secretOf("flagged", "worker") });
    const wanted = "setup-mounts --max-validity-ca 11y flagged";
    const roles = "write-roles --max-validity-admin 90d --max-validity-components 175h flagged";
    const { code, summary } = await ask("--max-validity-ca=11y", ...flags.slice(2));
    expect(code).toBe(1);
    expect(summary).toEndWith(`; to fix it: ${wanted}; ${roles}`);
    const [command = "", ...words] = roles.split(" ");
    expect((await runScript(command, words, { env })).code).toBe(0);
    expect((await ask(...flags)).code).toBe(0);
  }, 60_000);

  test.each(["--max-validity-ca", "--max-validity-admin", "--max-validity-components"])(
    "%s is not for a host",
    async (flag) => {
      const { code, stdout, stderr } = await runScript("status", ["--offline", `${flag}=1y`]);
      expect({ code, stdout, told: stderr.split("\n")[0] }).toEqual({
        code: 64,
        stdout: "",
        told: `status: ${flag} is for a cluster, not for a host`,
      });
    },
  );

  test("with something due shows it first, its fix last, and ends with 2", async () => {
    const admin = api(server.address, server.rootToken);
    await admin.write("demo/pki/k8s/root/rotate/internal", {
      common_name: "next",
      issuer_name: "next",
      ttl: "74h30m",
    });
    await admin.write("demo/pki/k8s/config/issuers", { default: "next" });
    await admin.remove("sys/policies/acl/demo/etcd");
    const { code, rows, summary } = await status();
    expect(code).toBe(2);
    expect(rows.slice(0, 2)).toEqual([
      "due | issuer demo/pki/k8s next | has 3d 2h left; refuses certificates of admin (1y), kube-apiserver, kube-controller-manager, kube-proxy, kube-scheduler, kubelet (30d)",
      "due | write-roles | would make 1 change (policy 1)",
    ]);
    expect(summary).toBe("demo: 2 due, 16 ok; to fix it: rotate-ca demo k8s; write-roles demo");
    expect(rows).toContain("ok | issuer demo/pki/k8s | no role signs with it");
  });

  test("with something wrong ends with 1, even if something else is due", async () => {
    const admin = api(server.address, server.rootToken);
    await admin.write("auth/token/revoke", { token: await server.initToken("all") });
    const { code, rows, summary } = await status();
    expect(code).toBe(1);
    expect(rows[0]).toBe("wrong | init token all | the server does not know it");
    expect(summary).toStartWith("demo: 1 wrong, 2 due, ");
    expect((await runScript("status", ["demo", "--log-level=0"], { env })).stdout).toBe("");
  });

  test("shows what each CA has in use during a rotation, and its next step", async () => {
    await setUpCluster(server.admin, "turned");
    const rotated = await runScript("rotate-ca", ["--new-key", "turned", "etcd-overlay"], { env });
    expect([rotated.code, rotated.stderr]).toEqual([0, ""]);
    const { code, stdout, stderr } = await runScript("status", ["turned"], { env });
    expect([code, stderr]).toEqual([0, ""]);
    const lines = stdout.trimEnd().split("\n");
    const about = (what: RegExp) =>
      lines.filter((it) => what.test(it)).map((it) => it.split(/ {2,}/).slice(1));
    expect(about(/^ok +CA /)).toEqual([
      ["CA turned/pki/etcd-overlay g1", expect.any(String), "no longer signs; no certificate in use"],
      ["CA turned/pki/etcd-overlay g2", expect.any(String), "signs; no certificate in use"],
    ]);
    expect(about(/-by-/)[0]?.[2]).toBe("cross certificate");
    const next = "turned/pki/etcd-overlay is being rotated; next: rotate-ca turned etcd-overlay --retire";
    expect(lines.at(-3)).toMatch(new RegExp(`^${next}, from 20..-..-.. ..:.. UTC$`));
    expect(lines.at(-2)).toStartWith("  g1: g2 was made less than eight days ago");
    expect(lines.at(-1)).toBe("turned: 19 ok");

    using folder = temporaryFolder();
    const file = join(folder.path, "turned.prom");
    const asked = ["turned", "--json", "--prometheus", file];
    const { mounts } = JSON.parse((await runScript("status", asked, { env })).stdout);
    const { problems, metrics } = await readAsPrometheus(readFileSync(file, "utf8"));
    expect(problems).toBeNull();
    const samples = (name: string, mount = "turned/pki/etcd-overlay") =>
      (metrics[`vault_helper_${name}`] ?? []).filter(({ labels }) => labels.mount === mount);
    expect(samples("issuer_not_after_timestamp_seconds")).toHaveLength(3);
    expect(samples("issuer_due_timestamp_seconds").map(({ labels }) => labels.name)).toEqual(["g2"]);
    const [used] = mounts[1].issuers.filter(({ isDefault }: { isDefault: boolean }) => isDefault);
    for (const [name, date] of [
      ["not_before", used.notBefore],
      ["not_after", used.notAfter],
      ["due", used.dueAt],
    ]) {
      const found = samples(`issuer_${name}_timestamp_seconds`).filter(({ labels }) => labels.name === "g2");
      const labels = { cluster: "turned", mount: used.mount ?? mounts[1].path, issuer: used.id, name: "g2" };
      expect(found).toEqual([{ labels, value: Date.parse(date) / 1000 }]);
    }
    expect(samples("ca_certificates_in_use").map(({ labels, value }) => [labels.ca, value])).toEqual([
      ["g1", 0],
      ["g2", 0],
    ]);
    expect(samples("rotation_ready_timestamp_seconds").map(({ value }) => value)).toEqual([
      Date.parse(mounts[1].rotation.readyAt) / 1000,
    ]);
    expect(samples("ca_certificates_in_use", "turned/pki/k8s")).toEqual([]);
    const ok = samples("mount_status", "turned/secrets").filter(({ value }) => value === 1);
    expect(ok.map(({ labels }) => labels.state)).toEqual(["ok"]);
    expect(mounts[1]).toMatchObject({
      state: "ok",
      cas: [
        { name: "g1", signs: false, certificatesInUse: 0, lastEnd: null },
        { name: "g2", signs: true, certificatesInUse: 0, lastEnd: null },
      ],
      rotation: { next: "rotate-ca turned etcd-overlay --retire", holds: [expect.any(String)] },
    });
    expect(mounts[1].rotation.readyAt).toMatch(/^20..-..-..T/);
    expect(mounts[1].issuers.map(({ isCross }: { isCross: boolean }) => isCross).sort()).toEqual([
      false,
      false,
      true,
    ]);
    expect(mounts[0]).toMatchObject({
      cas: [{ name: "g1", signs: true, certificatesInUse: null, lastEnd: null }],
      rotation: null,
    });
  }, 60_000);

  test("has more time than the status of a host, unless a limit is given", async () => {
    const limitOf = (...words: readonly string[]) =>
      statusScript.timeLimit?.(argumentValues(statusScript.args, checkArguments(statusScript.args, words)));
    expect([limitOf("demo"), limitOf("--config=demo.toml"), limitOf()]).toEqual(["10m", "10m", "60s"]);
    const { code, stderr } = await runScript("status", ["demo", "--timeout=1ms"], { env });
    expect([code, stderr]).toEqual([75, expect.stringContaining("the time limit of 0.001 s is over")]);
  });

  test("of a cluster that was never set up is wrong", async () => {
    const { code, stdout } = await runScript("status", ["nope"], { env });
    expect(code).toBe(1);
    expect(stdout).toMatch(/^wrong +write-roles +needs the mounts first$/m);
    expect(stdout).toEndWith("nope: 6 wrong, 1 due, 4 ok; to fix it: setup-mounts nope; write-roles nope\n");
  });

  test.each([
    [["../demo"], {}, 64, '"../demo" is not a cluster id'],
    [["demo", "--offline"], {}, 64, "--offline is for a host, not for a cluster"],
    [["demo", "--prometheus=x.txt"], {}, 64, "x.txt does not end in .prom"],
    [["demo", "--destination=/x"], {}, 64, "--destination is for a host, not for a cluster"],
    [["demo", "--config-dir=/x"], {}, 64, "--config-dir is for a host, not for a cluster"],
    [["demo", "-p/x"], {}, 64, "--config-path is for a host, not for a cluster"],
    [["demo"], { VAULT_TOKEN: "" }, 77, "there is no admin's token"],
    [["demo"], { VAULT_TOKEN: "not-a-token" }, 77, "permission denied"],
    [["demo"], { VAULT_ADDR: "http://127.0.0.1:1" }, 75, "127.0.0.1:1 refuses the connection"],
  ])("%j with %j shows nothing, and ends like the other commands", async (args, more, code, words) => {
    const result = await runScript("status", args, { env: { ...env, ...more } });
    expect({ code: result.code, stdout: result.stdout }).toEqual({ code, stdout: "" });
    expect(result.stderr).toContain(words);
  });
});
