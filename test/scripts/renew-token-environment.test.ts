import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startCluster } from "../support/cluster-server.ts";
import { type Host, startHost } from "../support/host.ts";
import { runScript } from "../support/script.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

/** Foreign code that leaves a mark when it runs, and a working folder that asks for it. */
async function hostile(): Promise<Host & { readonly marks: () => boolean; readonly probe: string }> {
  const host = startHost(cluster.address);
  host.put("token", await cluster.hostToken("worker"));
  const [probe, mark] = [join(host.path, "probe.ts"), join(host.path, "mark")];
  writeFileSync(probe, `require("node:fs").writeFileSync(${JSON.stringify(mark)}, "was here");`);
  writeFileSync(join(host.path, "bunfig.toml"), `preload = ["./probe.ts"]\n`);
  writeFileSync(join(host.path, ".env"), "VAULT_ADDR=http://127.0.0.1:1\nVAULT_NAMESPACE=elsewhere\n");
  writeFileSync(join(host.path, ".npmrc"), "init-module=./probe.ts\n");
  writeFileSync(join(host.path, "package.json"), `{ "type": "module", "imports": { "#x": "./probe.ts" } }`);
  writeFileSync(
    join(host.path, "tsconfig.json"),
    `{ "compilerOptions": { "paths": { "*": ["./probe.ts"] } } }`,
  );
  return Object.assign(host, { probe, marks: () => existsSync(mark) });
}

const scripts = ["renew-token", "issue-cert"] as const;

function argsOf(host: Host, script: (typeof scripts)[number]): string[] {
  const args = ["-p", host.config];
  return script === "renew-token"
    ? args
    : [...args, "demo/pki/k8s/sign/kubelet", "system:node:a", host.destination];
}

describe.each(scripts)("%s, compiled,", (script) => {
  test("runs and reads nothing from its working folder", async () => {
    await using host = await hostile();
    const run = await runScript(script, argsOf(host, script), { env: host.env, cwd: host.path });
    expect([run.code, run.stderr]).toEqual([0, ""]);
    expect(host.marks()).toBe(false);
    expect(host.relay.passed[0]?.path).toBe("auth/token/renew-self");
  });

  test("takes no address from a .env file", async () => {
    await using host = await hostile();
    writeFileSync(join(host.path, ".env"), `VAULT_ADDR=${host.relay.address}\n`);
    const env = { VAULT_MAX_RETRIES: "0" };
    const run = await runScript(script, argsOf(host, script), { env, cwd: host.path });
    expect(run.code).toBe(75);
    expect(host.relay.passed).toEqual([]);
  });

  const variables: ReadonlyArray<readonly [name: string, value: (probe: string) => string]> = [
    ["BUN_OPTIONS", (probe) => `--preload=${probe}`],
    ["BUN_OPTIONS", (probe) => `--require ${probe}`],
    ["BUN_INSPECT_PRELOAD", (probe) => probe],
    ["NODE_OPTIONS", (probe) => `--require ${probe}`],
    ["NODE_OPTIONS", (probe) => `--import ${probe}`],
  ];
  test.each(variables)("runs nothing that %s names (%p)", async (name, value) => {
    await using host = await hostile();
    const env = { ...host.env, [name]: value(host.probe) };
    await runScript(script, argsOf(host, script), { env, cwd: host.path });
    expect(host.marks()).toBe(false);
  });
});

describe("the probe", () => {
  test("leaves its mark with the plain runtime, through bunfig.toml and BUN_OPTIONS", async () => {
    for (const [env, cwd] of [
      [{}, (host: Host) => host.path],
      [{ BUN_OPTIONS: "PROBE" }, () => "/"],
    ] as const) {
      await using host = await hostile();
      const options = "BUN_OPTIONS" in env ? { BUN_OPTIONS: `--preload=${host.probe}` } : {};
      writeFileSync(join(host.path, "empty.ts"), "");
      Bun.spawnSync([process.execPath, join(host.path, "empty.ts")], { env: { ...options }, cwd: cwd(host) });
      expect(host.marks()).toBe(true);
    }
  });
});
