import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { lookupSelf } from "../../lib/vault/token.ts";
import { trace } from "../crash/strace.ts";
import { startCluster } from "../support/cluster-server.ts";
import { startHost } from "../support/host.ts";
import { runScript, scriptPath } from "../support/script.ts";
import { modeOf, treeOf } from "../support/tree.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const token = (path: string) => join(path, "token");
const initToken = (path: string) => join(path, "init-token");

const gotToken = /^renew-token: the init token was exchanged for a host token, accessor \w+\n$/;

describe("renew-token", () => {
  test("exchanges the init token, then renews, and prints neither token", async () => {
    await using host = startHost(cluster.address);
    const init = await cluster.initToken("worker");
    host.put("init-token", `${init}\n`);
    const exchanged = await host.run("renew-token");
    expect(exchanged).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^init token exchanged for a host token, 5y left\n$/),
      stderr: expect.stringMatching(gotToken),
    });
    const own = host.read(token(host.config)).trim();
    expect(modeOf(token(host.config))).toBe("600");
    expect(existsSync(initToken(host.config))).toBe(false);
    expect((await lookupSelf(cluster.admin, own)).policies).toEqual(["default", "demo/worker"]);

    const renewed = await host.run("renew-token", ["--log-level", "debug"]);
    expect(renewed.code).toBe(0);
    expect(renewed.stdout).toBe("token renewed, 5y left\n");
    for (const secret of [own, init]) {
      expect(exchanged.stdout + exchanged.stderr + renewed.stdout + renewed.stderr).not.toContain(secret);
    }
  });

  test("prints the same as JSON, without the token", async () => {
    await using host = startHost(cluster.address);
    host.put("token", await cluster.hostToken("worker"));
    const { stdout, code } = await host.run("renew-token", ["--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      how: "renewed",
      accessor: expect.any(String),
      ttlSeconds: 157_680_000,
    });
    expect(stdout).not.toContain(host.read(token(host.config)).trim());
  });

  test("calls an exchange traded in JSON, as release 1.0.0 did", async () => {
    await using host = startHost(cluster.address);
    host.put("init-token", await cluster.initToken("worker"));
    const { stdout } = await host.run("renew-token", ["--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ how: "traded", ttlSeconds: 157_680_000 });
  });

  test("says nothing at level 0 when all is well", async () => {
    await using host = startHost(cluster.address);
    host.put("token", await cluster.hostToken("worker"));
    expect(await host.run("renew-token", ["-l", "0"])).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  test("takes the role from --init-role before VAULT_INIT_ROLE", async () => {
    await using host = startHost(cluster.address);
    host.put("init-token", await cluster.initToken("etcd"));
    expect((await host.run("renew-token", ["--init-role", "demo-etcd"])).code).toBe(0);
    const { policies } = await lookupSelf(cluster.admin, host.read(token(host.config)).trim());
    expect(policies).toEqual(["default", "demo/etcd"]);
  });

  test("never uses an admin's VAULT_TOKEN or ~/.vault-token", async () => {
    await using host = startHost(cluster.address);
    await Bun.write(join(host.path, ".vault-token"), cluster.rootToken);
    const { code, stderr } = await host.run("renew-token", [], {
      VAULT_TOKEN: cluster.rootToken,
      HOME: host.path,
    });
    expect(code).toBe(77);
    expect(stderr).toContain("there is no token at");
    expect(host.relay.passed).toEqual([]);
  });

  test.each([
    ["another role's init token", 77, "permission denied", "demo-master"],
    ["no role", 78, "the init token's role is not set", ""],
    ["a role that does not exist", 77, "permission denied", "other-worker"],
  ])("with %s ends with %d and keeps the init token", async (_name, code, words, role) => {
    await using host = startHost(cluster.address);
    host.put("init-token", await cluster.initToken("worker"));
    const run = await host.run("renew-token", [], { VAULT_INIT_ROLE: role });
    expect(run.code).toBe(code);
    expect(run.stdout).toBe("");
    // One sentence, and a hint on its own line.
    expect(run.stderr).toMatch(/^renew-token: [^\n]+\n {2}[^\n]+\n$/);
    expect(run.stderr).toContain(words);
    expect(existsSync(initToken(host.config))).toBe(true);
    expect(existsSync(token(host.config))).toBe(false);
  });

  test("ends with 75 while no server listens, and changes nothing", async () => {
    await using host = startHost(cluster.address);
    host.put("token", "hvs.some-token");
    host.put("init-token", "hvs.some-init-token");
    const before = treeOf(host.config);
    const env = { VAULT_ADDR: "http://127.0.0.1:1", VAULT_MAX_RETRIES: "0" };
    const { code, stderr } = await host.run("renew-token", [], env);
    expect([code, stderr]).toEqual([75, expect.stringContaining("POST auth/token/renew-self: ")]);
    expect(treeOf(host.config)).toEqual(before);
  });

  test("ends with 77 if it may not read the token, and exchanges nothing", async () => {
    await using host = startHost(cluster.address);
    host.put("token", "hvs.unread");
    host.put("init-token", await cluster.initToken("worker"));
    chmodSync(token(host.config), 0o000);
    // Root obeys a file's mode without these two capabilities.
    const unprivileged =
      process.getuid?.() === 0 ? ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] : [];
    const command = [...unprivileged, await scriptPath("renew-token"), "--config-path", host.config];
    const child = Bun.spawn(command, {
      env: { PATH: process.env.PATH ?? "", ...host.env },
      stdout: "pipe",
      stderr: "pipe",
    });
    expect(await child.stderr.text()).toContain(
      `can't read ${token(host.config)}: permission denied (EACCES)`,
    );
    expect(await child.exited).toBe(77);
    expect(host.relay.passed).toEqual([]);
  });

  test("run twice at once with one init token makes one token, and both succeed", async () => {
    await using host = startHost(cluster.address, async ({ path }) => {
      if (path.startsWith("auth/token/create")) await Bun.sleep(300);
      return undefined;
    });
    host.put("init-token", await cluster.initToken("worker"));
    const runs = await Promise.all([1, 2, 3].map(() => host.run("renew-token")));
    expect(runs.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(runs.map(({ stderr }) => stderr).toSorted()).toEqual(["", "", expect.stringMatching(gotToken)]);
    expect(runs.filter(({ stdout }) => stdout.includes("exchanged"))).toHaveLength(1);
    const made = host.relay.passed.filter(({ path }) => path.startsWith("auth/token/create"));
    expect(made).toHaveLength(1);
    expect(readdirSync(host.config).toSorted()).toEqual(["token"]);
    expect((await lookupSelf(cluster.admin, host.read(token(host.config)).trim())).renewable).toBe(true);
  });

  test("renews the token in a folder that it can't write to", async () => {
    await using host = startHost(cluster.address);
    host.put("token", await cluster.hostToken("worker"));
    chmodSync(host.config, 0o500);
    const { code, stdout } = await host.run("renew-token");
    expect([code, stdout]).toEqual([0, "token renewed, 5y left\n"]);
    expect(readdirSync(host.config)).toEqual(["token"]);
  });

  test.each([
    [
      "missing",
      77,
      "there is no token at {}/missing/token, and there is no init token at {}/missing/init-token",
    ],
    ["file", 78, "can't read {}/file/config: a part of the path is not a folder (ENOTDIR)"],
  ])("names the path where the configuration folder is a %s", async (name, code, words) => {
    await using host = startHost(cluster.address);
    await Bun.write(join(host.path, "file"), "x");
    const run = await runScript("renew-token", ["-p", join(host.path, name)], { env: host.env });
    expect(run.code).toBe(code);
    expect(run.stderr).toContain(words.replaceAll("{}", host.path));
    expect(existsSync(join(host.path, "missing"))).toBe(false);
  });
});

describe("renew-token, seen by the system,", () => {
  test("opens one connection and sends one request to renew", async () => {
    await using host = startHost(cluster.address);
    host.put("token", await cluster.hostToken("worker"));
    const command = [await scriptPath("renew-token"), "--config-path", host.config];
    const run = await trace(command, { env: host.env, folder: host.path });
    expect([run.code, run.stdout]).toEqual([0, "token renewed, 5y left\n"]);
    expect(run.calls.filter(({ name }) => name === "connect")).toHaveLength(1);
    expect(host.relay.passed).toEqual([{ method: "POST", path: "auth/token/renew-self" }]);
    // It opens only those of the host's files that it needs.
    const opened = run.calls
      .filter(({ name, failed, line }) => name === "openat" && !failed && !line.includes("O_DIRECTORY"))
      .map(({ path }) => path);
    expect(new Set(opened)).toEqual(new Set([token(host.config)]));
  });

  test("opens one connection, and looks up the init token before the exchange", async () => {
    await using host = startHost(cluster.address);
    host.put("init-token", await cluster.initToken("worker"));
    const command = [await scriptPath("renew-token"), "--config-path", host.config];
    const run = await trace(command, { env: host.env, folder: host.path });
    expect(run.code).toBe(0);
    expect(run.calls.filter(({ name }) => name === "connect")).toHaveLength(1);
    expect(host.relay.passed.map(({ path }) => path)).toEqual([
      "sys/wrapping/lookup",
      "auth/token/create/demo-worker",
    ]);
    // The token is on disk under its name before the init token is removed.
    const steps = run.calls.filter(
      ({ name, path }) => /^(rename|unlink|fsync)/.test(name) && path !== undefined,
    );
    expect(steps.map(({ name }) => name.replace("unlinkat", "unlink"))).toEqual([
      "fsync",
      "rename",
      "fsync",
      "unlink",
      "fsync",
    ]);
    expect(steps[1]?.target).toBe(token(host.config));
    expect(steps[3]?.path).toBe(initToken(host.config));
  });
});
