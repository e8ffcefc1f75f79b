import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ExitCode } from "../../lib/cli/exit-code.ts";
import { startCluster } from "../support/cluster-server.ts";
import { type Host, startHost } from "../support/host.ts";
import { modeOf, treeOf } from "../support/tree.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

/** A host whose service manager passes an init token to the unit. */
function newHost(content: string) {
  const host = startHost(cluster.address);
  const folder = join(host.path, "credentials");
  mkdirSync(folder);
  const credential = join(folder, "init-token");
  writeFileSync(credential, content, { mode: 0o400 });
  return { host, credential, renew: () => host.run("renew-token", [], { CREDENTIALS_DIRECTORY: folder }) };
}

const stored = (host: Host) => readFileSync(join(host.config, "token"), "utf8").trim();
const created = "auth/token/create/demo-worker";
const paths = (host: Host) => host.relay.writes().map(({ path }) => path);

describe("renew-token with the credential init-token", () => {
  test("exchanges it, leaves it in place, and does not use it while the token works", async () => {
    const { host, credential, renew } = newHost(`${await cluster.initToken("worker")}\n`);
    await using _ = host;
    const tree = treeOf(join(host.path, "credentials"));
    expect((await renew()).stdout).toContain("init token exchanged");
    expect(paths(host)).toEqual(["sys/wrapping/lookup", created]);
    expect(existsSync(credential)).toBe(true);
    host.relay.reset();
    expect((await renew()).stdout).toContain("token renewed");
    expect(paths(host)).toEqual(["auth/token/renew-self"]);
    expect(treeOf(join(host.path, "credentials"))).toEqual(tree);
  });

  test("exchanges it again when the server no longer knows the token", async () => {
    const { host, renew } = newHost(await cluster.initToken("worker"));
    await using _ = host;
    await renew();
    const first = stored(host);
    await cluster.write("auth/token/revoke", { token: first });
    const run = await renew();
    expect([run.code, run.stdout]).toEqual([0, expect.stringContaining("init token exchanged")]);
    expect(stored(host)).not.toBe(first);
  });

  test.each(["", "\n"])(
    "exchanges it if the init token's file holds %j, and leaves that file",
    async (content) => {
      const { host, renew } = newHost(await cluster.initToken("worker"));
      await using _ = host;
      host.put("init-token", content);
      expect((await renew()).code).toBe(0);
      expect(readFileSync(join(host.config, "init-token"), "utf8")).toBe(content);
    },
  );

  test("does not use it if the file holds an init token, and removes that file", async () => {
    const { host, renew } = newHost("not a token that anybody knows");
    await using _ = host;
    host.put("init-token", await cluster.initToken("worker"));
    expect((await renew()).code).toBe(0);
    expect(existsSync(join(host.config, "init-token"))).toBe(false);
  });

  test("accepts one that its group may read, as in a unit with its own user", async () => {
    const { host, credential, renew } = newHost(await cluster.initToken("worker"));
    await using _ = host;
    chmodSync(credential, 0o440);
    const run = await renew();
    expect(run.code).toBe(0);
    expect(run.stderr).not.toContain("readable by others");
    expect(modeOf(credential)).toBe("440");
  });

  test("names both places when neither has a token", async () => {
    const { host, credential, renew } = newHost("");
    await using _ = host;
    const { code, stderr } = await renew();
    expect(code).toBe(ExitCode.noPermission);
    const file = join(host.config, "init-token");
    expect(stderr).toContain(`and there is no init token at ${file}, nor is there one at ${credential}\n`);
    expect(stderr).toContain(`put it at ${file} with mode 0600, or into the unit's credential init-token,`);
  });

  test("names it when the server does not know it, and when it is for another role", async () => {
    for (const [content, words] of [
      ["hvs.unknown", "the server does not know the init token in"],
      [await cluster.initToken("etcd"), "may be for another role"],
    ] as const) {
      const { host, credential, renew } = newHost(content);
      await using _ = host;
      const { code, stderr } = await renew();
      expect([code, stderr]).toEqual([ExitCode.noPermission, expect.stringContaining(words)]);
      expect(stderr).toContain(credential);
      expect(stderr).not.toContain(content);
    }
  });

  test("is exchanged by the other host commands as well", async () => {
    const { host, credential } = newHost(await cluster.initToken("master"));
    await using _ = host;
    const env = { CREDENTIALS_DIRECTORY: join(credential, ".."), VAULT_INIT_ROLE: "demo-master" };
    const run = await host.run("read-secret", ["-f", "key", "demo/secrets/service-accounts"], env);
    expect([run.code, run.stdout]).toEqual([0, "not asked for"]);
  });
});
