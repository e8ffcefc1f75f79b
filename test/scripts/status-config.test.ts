import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runAsOtherUser } from "../hostile/stage.ts";
import { type ManifestHost, startManifestHost } from "../manifest/certs.ts";
import { startCluster } from "../support/cluster-server.ts";
import { runCommand, runScript, scriptPath } from "../support/script.ts";
import { startScripted } from "../support/scripted.ts";
import { treeOf } from "../support/tree.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

/** A host with variables only in its file. */
async function configuredHost(...more: readonly string[]) {
  const host = await startManifestHost(cluster);
  const file = join(host.config, "config");
  const lines = [
    "# for the units",
    `VAULT_ADDR="${host.relay.address}"`,
    "VAULT_INIT_ROLE=demo-worker",
    ...more,
  ];
  const write = (...all: readonly string[]) => writeFileSync(file, `${all.join("\n")}\n`, { mode: 0o644 });
  write(...lines);
  const flags = ["--config-path", host.config, "--config-dir", host.certs];
  const status = (args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) =>
    runScript("status", [...flags, ...args], { env: { VAULT_MAX_RETRIES: "0", ...env } });
  host.write("etcd");
  const issued = await host.issue();
  if (issued.code !== 0) throw new Error(issued.stderr);
  host.relay.reset();
  return Object.assign(host, { file, flags, put: write, status });
}

const serverOf = (stdout: string) => JSON.parse(stdout).server;

describe("status by hand", () => {
  test("asks the same server as the units, and changes nothing", async () => {
    await using host = await configuredHost();
    const before = treeOf(host.path);
    const { code, stdout, stderr } = await host.status();
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^ok +token .* accessor /m);
    expect(stdout).toContain(host.relay.address);
    expect(treeOf(host.path)).toEqual(before);
    const debug = await host.status(["-l2"]);
    expect(debug.stderr).toContain(`status: ${host.file} gives VAULT_ADDR, VAULT_INIT_ROLE\n`);
  });

  test("prefers its own environment", async () => {
    await using host = await configuredHost();
    host.put("BAO_ADDR=http://127.0.0.1:1");
    const { code, stdout } = await host.status(["--json"], { VAULT_ADDR: host.relay.address });
    expect([code, serverOf(stdout).address]).toEqual([0, host.relay.address]);
    expect(serverOf((await host.status(["--json"])).stdout).address).toBe("http://127.0.0.1:1");
  });

  test("uses the units' proxy", async () => {
    await using host = await configuredHost();
    await using proxy = startScripted(() => Response.json({ errors: ["by the proxy"] }, { status: 403 }));
    host.put("VAULT_ADDR=http://vault.test:8200", `HTTP_PROXY=${proxy.address}`);
    await host.status();
    expect(proxy.seen.map(({ headers }) => headers.get("host"))).toContain("vault.test:8200");
  });

  test("warns that any server is trusted if the file says so", async () => {
    await using host = await configuredHost();
    host.put("VAULT_ADDR=https://127.0.0.1:1", "VAULT_SKIP_VERIFY=true", "NODE_TLS_REJECT_UNAUTHORIZED=0");
    expect((await host.status()).stderr).toContain(
      "VAULT_SKIP_VERIFY is set: any server that answers is trusted",
    );
    host.put("VAULT_ADDR=https://127.0.0.1:1", "NODE_TLS_REJECT_UNAUTHORIZED=0");
    expect((await host.status()).stderr).toBe("");
  });

  test("suggests commands that fix what is wrong, and they work when pasted", async () => {
    await using host = await configuredHost();
    rmSync(join(host.config, "token"));
    host.put("VAULT_INIT_ROLE=demo-worker", `VAULT_ADDR='${host.relay.address}'`);
    writeFileSync(join(host.config, "init-token"), await cluster.initToken("worker"), { mode: 0o600 });
    host.write("etcd", 'san_hosts = ["another"]');
    const { code, stdout } = await host.status();
    const [, fix = ""] = /; to fix it: (.*)\n$/.exec(stdout) ?? [];
    expect([code, fix]).toEqual([
      2,
      `renew-token --config-path ${host.config}; ` +
        `issue-cert --config-path ${host.config} --config-dir ${host.certs}`,
    ]);
    const path = `${join(await scriptPath("status"), "..")}:${process.env.PATH}`;
    const fixed = await runCommand(["sh", "-ec", fix], { env: { PATH: path } });
    expect([fixed.code, fixed.stderr]).toEqual([
      0,
      expect.stringContaining("the init token was exchanged for a host token"),
    ]);
    expect((await host.status()).code).toBe(0);
  });

  test("names the command that runs pending hooks", async () => {
    await using host = await configuredHost();
    host.write("etcd", `san_hosts = ["hooked"]\n${host.onChange("true")}`);
    await host.issue("--hooks", "later");
    expect((await host.status()).stdout).toEndWith(
      `; to fix it: issue-cert --config-path ${host.config} --config-dir ${host.certs} --hooks only\n`,
    );
  });
});

describe("status does not use a file", () => {
  const refused: ReadonlyArray<
    readonly [name: string, spoil: (host: ManifestHost & { file: string }) => void, reason: string]
  > = [
    ["that others may write", ({ file }) => chmodSync(file, 0o666), "can be written by others"],
    ["that is not a text", ({ file }) => writeFileSync(file, "VAULT_ADDR=\0"), "is not UTF-8"],
  ];
  test.each(refused)("%s, and reports it as wrong", async (_, spoil, reason) => {
    await using host = await configuredHost();
    spoil(host);
    const { code, stdout } = await host.status(["--json"], { VAULT_ADDR: host.relay.address });
    const { config, server } = JSON.parse(stdout);
    expect([code, server.state]).toEqual([1, "ok"]);
    expect(config).toEqual([{ state: "wrong", reasons: expect.any(Array), mend: null }]);
    expect(config[0].reasons[0]).toContain(reason);
    expect(serverOf((await host.status(["--json"])).stdout).address).toBe("https://127.0.0.1:8200");
    expect((await host.status()).stdout).toMatch(/^wrong +configuration +/m);
    expect(host.relay.passed.length).toBeGreaterThan(0);
  });

  test("that this user may not read, and says to run it as root", async () => {
    await using host = await configuredHost();
    chmodSync(host.path, 0o755);
    chmodSync(host.config, 0o755);
    chmodSync(host.file, 0o600);
    const env = { VAULT_ADDR: host.relay.address };
    const { code, stdout, stderr } = await runAsOtherUser("status", [...host.flags, "--json"], env);
    expect([code, stderr]).toEqual([1, ""]);
    const { permission, config } = JSON.parse(stdout);
    expect([config, permission[0].reasons]).toEqual([
      [],
      ["this user may not read 3 things: run it as root"],
    ]);
  });

  test("in a folder of manifests, or for a cluster", async () => {
    await using host = await configuredHost();
    writeFileSync(join(host.certs, "config"), "VAULT_ADDR=http://127.0.0.1:1\n");
    expect((await host.status()).code).toBe(0);
    const { code, stderr } = await runScript("status", ["demo"], { env: { VAULT_TOKEN: cluster.rootToken } });
    expect([code, stderr]).toEqual([75, expect.stringContaining("127.0.0.1:8200")]);
  });
});
