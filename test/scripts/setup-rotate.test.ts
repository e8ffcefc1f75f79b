import { beforeAll, describe, expect, test } from "bun:test";
import { api } from "../cluster/api.ts";
import { renewals } from "../cluster/run.ts";
import { relayedServer } from "../support/dev-server.ts";
import { runScript } from "../support/script.ts";

const { server, relay } = await relayedServer();
const admin = api(server.address, server.rootToken);
const env = { VAULT_ADDR: relay.address, VAULT_TOKEN: server.rootToken };
const id = async (role: string) => String((await admin.find(`demo/secrets/init_token_${role}`)).init_token);

/** The changes of a rotation. */
const lines = [
  "delete init token demo-worker",
  'update init token\'s id demo/secrets/init_token_worker: init_token "the one that ends" -> "a new one"',
  "create init token demo-worker",
];

describe("--rotate-init-token", () => {
  beforeAll(async () => {
    await runScript("vault-helper", ["setup", "demo"], { env });
  }, 60_000);

  test("shows what it would do, does it, and prints neither id", async () => {
    const args = ["--rotate-init-token", "worker", "demo"];
    const old = await id("worker");
    relay.reset();
    const dry = await runScript("write-roles", ["--dry-run", ...args], { env });
    const count = "demo: 3 changes (1 created, 1 updated, 1 deleted)";
    expect(dry.stdout).toBe([...lines, `${count} to make; nothing was changed`, ""].join("\n"));
    expect(relay.writes()).toEqual([]);

    const done = await runScript("write-roles", ["-l2", ...args], { env });
    const renewed = ["etcd", "master", "all"].map((role) => `renewed init token ${role}, 5y left`);
    expect(done.stdout).toBe([...lines, ...renewed, count, ""].join("\n"));
    expect(done.code).toBe(0);
    expect(relay.writes().map(({ path }) => path)).toEqual([
      "auth/token/revoke-self",
      "demo/secrets/init_token_worker",
      "auth/token/create-orphan",
      ...renewals.slice(1),
    ]);
    const said = [dry, done].map(({ stdout, stderr }) => stdout + stderr).join("");
    expect(said).not.toContain(old);
    expect(said).not.toContain(await id("worker"));
  }, 20_000);

  test("may be repeated for more host roles, and works with setup as well", async () => {
    const before = await Promise.all(["etcd", "master", "worker", "all"].map(id));
    const args = ["setup", "demo", "--rotate-init-token=etcd", "--rotate-init-token=all", "--json"];
    const { code, stdout } = await runScript("vault-helper", args, { env });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      applied: 6,
      renewed: [{ role: "master" }, { role: "worker" }],
    });
    const after = await Promise.all(["etcd", "master", "worker", "all"].map(id));
    expect(after.map((it, i) => it === before[i])).toEqual([false, true, true, false]);
  }, 20_000);

  test.each(["", "none", "worker,demo-worker"])("refuses the host role %j before it asks", async (role) => {
    relay.reset();
    const { code, stderr } = await runScript("write-roles", ["demo", `--rotate-init-token=${role}`], { env });
    expect(code).toBe(64);
    expect(stderr).toContain("--rotate-init-token");
    expect(relay.passed).toEqual([]);
  });
});
