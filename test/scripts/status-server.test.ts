import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createFromRole } from "../../lib/vault/token.ts";
import { runAsOtherUser } from "../hostile/stage.ts";
import { type DemoServer, startDemoServer } from "../machine/server.ts";
import { temporaryFolder } from "../support/folder.ts";
import { runScript, type ScriptResult } from "../support/script.ts";

// Servers that can't be asked, and users without rights: everything else is still reported.

let demo: DemoServer;
const folder = temporaryFolder();
const at = (name: string) => join(folder.path, name);
const args = ["--config-path", at("vault"), "--config-dir", at("certs.d")];
const env = () => ({ VAULT_ADDR: demo.server.address, VAULT_MAX_RETRIES: "0" });

beforeAll(async () => {
  demo = await startDemoServer();
  mkdirSync(at("vault"), { mode: 0o700 });
  mkdirSync(at("certs.d"), { mode: 0o755 });
  const { token } = await createFromRole(demo.admin, "demo-etcd", demo.initToken);
  writeFileSync(at("vault/token"), token, { mode: 0o600 });
  const fields = {
    sign_path: "demo/pki/etcd-k8s/sign/server",
    common_name: "etcd-1",
    destination: at("ssl/etcd"),
  };
  const text = Object.entries(fields).map(([name, value]) => `${name} = "${value}"\n`);
  writeFileSync(at("certs.d/etcd.toml"), text.join(""), { mode: 0o644 });
  const issued = await runScript("issue-cert", args, { env: env() });
  if (issued.code !== 0) throw new Error(issued.stderr);
}, 60_000);
afterAll(async () => {
  await demo[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const status = (...more: string[]) => runScript("status", [...args, ...more], { env: env() });

/** The state and reasons of these findings. */
function told({ stdout }: ScriptResult, ...names: string[]) {
  const all = JSON.parse(stdout);
  return names.map((name) => [name, all[name].state, ...all[name].reasons]);
}

/** The finding of the certificate, which needs only its files. */
const fresh = [
  expect.objectContaining({ state: "ok", reasons: [], keyMatches: true, caOnServer: "unknown" }),
];

describe("status", () => {
  test("ends with 0 if all is well", async () => {
    expect(await status()).toMatchObject({ code: 0, stderr: "" });
  });

  test("ends with 1 if the server is sealed, says so once, and shows the rest", async () => {
    await demo.server.seal();
    try {
      const run = await status("--json");
      expect(run.code).toBe(1);
      expect(told(run, "server", "clock", "token")).toEqual([
        [
          "server",
          "wrong",
          expect.stringContaining("Vault is sealed"),
          "an operator has to unseal the server",
        ],
        ["clock", "ok"],
        ["token", "unknown", "the server could not tell"],
      ]);
      expect(JSON.parse(run.stdout).certificates).toEqual(fresh);
      expect((await status()).stdout.match(/sealed/g)?.length).toBe(1);
    } finally {
      await demo.server.unseal();
    }
  });

  test("ends with 1 while the server is away, and with 0 when it is back", async () => {
    await demo.server.stop();
    try {
      const run = await status("--json");
      expect(run.code).toBe(1);
      expect(told(run, "server", "clock", "token")).toEqual([
        ["server", "wrong", expect.stringContaining("refuses the connection"), expect.any(String)],
        ["clock", "unknown", "not asked"],
        ["token", "unknown", "the server could not tell"],
      ]);
      expect(JSON.parse(run.stdout).certificates).toEqual(fresh);
      expect((await status("--offline")).code).toBe(0);
    } finally {
      await demo.server.start();
    }
    expect((await status()).code).toBe(0);
  }, 60_000);

  test("reports everything that another user may not read in one line, and shows the rest", async () => {
    chmodSync(folder.path, 0o755);
    chmodSync(at("ssl"), 0o755);
    const run = await runAsOtherUser("status", [...args, "--json"], env());
    expect({ code: run.code, stderr: run.stderr }).toEqual({ code: 1, stderr: "" });
    const all = JSON.parse(run.stdout);
    expect(all.permission).toEqual([
      { state: "wrong", reasons: ["this user may not read 4 things: run it as root"], mend: null },
    ]);
    expect(told(run, "server", "clock", "token")).toEqual([
      ["server", "ok"],
      ["clock", "ok"],
      ["token", "unknown", "its file can't be read"],
    ]);
    expect(all.certificates).toEqual([
      expect.objectContaining({
        state: "unknown",
        reasons: ["its key can't be read"],
        commonName: "etcd-1",
        caOnServer: "same",
        keyMatches: null,
      }),
    ]);
    chmodSync(at("ssl"), 0o700);
    const closed = JSON.parse((await runAsOtherUser("status", [...args, "--json"], env())).stdout);
    expect(closed.certificates).toEqual([
      expect.objectContaining({ state: "unknown", reasons: ["its files can't be read"], commonName: null }),
    ]);
  });
});
