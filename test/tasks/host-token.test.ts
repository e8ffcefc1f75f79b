import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { lookupSelf } from "../../lib/vault/token.ts";
import { startCluster } from "../support/cluster-server.ts";
import type { Fault } from "../support/relay.ts";
import { modeOf, treeOf } from "../support/tree.ts";
import { isAlive, madeToken, revokedToken, tokenHost } from "./token-host.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const fiveYears = 5 * 365 * 86_400;
const host = (files: Readonly<Record<string, string>>, fault?: Fault) => tokenHost(cluster, files, fault);

describe("keepHostToken() with a token that the server knows", () => {
  test("renews it with one request, and touches no file", async () => {
    const token = await cluster.hostToken("worker");
    await using it = host({ token });
    const before = treeOf(it.path);
    const kept = await it.keep({ initRole: undefined });
    expect(kept).toMatchObject({ token, how: "renewed", ttlSeconds: fiveYears });
    expect(it.relay.passed).toEqual([{ method: "POST", path: "auth/token/renew-self" }]);
    expect(treeOf(it.path)).toEqual(before);
    expect(it.notes).toEqual([]);
  });

  test.each(["\n", "\r\n", "  \n\n"])("reads it with %j after it", async (end) => {
    await using it = host({ token: `${await cluster.hostToken("worker")}${end}` });
    expect((await it.keep()).how).toBe("renewed");
  });

  test("narrows a file that others may read, as the Go tool left it, and says so", async () => {
    await using it = host({ token: await cluster.hostToken("worker") });
    chmodSync(it.at("token"), 0o644);
    const content = it.stored();
    await it.keep();
    expect(modeOf(it.at("token"))).toBe("600");
    expect(it.stored()).toBe(content);
    expect(it.notes).toEqual([`${it.at("token")} was readable by others; its mode is 0600 now`]);
  });

  test.each([
    ["narrows it in a folder where only this user could have made it", 0, "600"],
    ["does not change it in another user's folder, and says so", 65534, "644"],
  ])("that others may read, and that has a second name: %s", async (_, owner, mode) => {
    await using it = host({ token: await cluster.hostToken("worker") });
    chmodSync(it.at("token"), 0o644);
    linkSync(it.at("token"), it.at("other"));
    chownSync(dirname(it.at("token")), owner, owner);
    expect((await it.keep()).how).toBe("renewed");
    expect(modeOf(it.at("token"))).toBe(mode);
    expect(it.notes).toEqual([
      owner === 0
        ? `${it.at("token")} was readable by others; its mode is 0600 now`
        : `${it.at("token")} is readable by others, and has a second name (a hard link), so its mode was not changed`,
    ]);
  });

  test("removes an older init token, which a stopped exchange has left", async () => {
    await using it = host({ "init-token": "left over", token: await cluster.hostToken("worker") });
    utimesSync(it.at("init-token"), 1000, 1000);
    await it.keep();
    expect(existsSync(it.at("init-token"))).toBe(false);
    expect(it.relay.passed).toHaveLength(1);
  });

  test("keeps an init token that was put there later", async () => {
    await using it = host({ token: await cluster.hostToken("worker"), "init-token": "an admin's" });
    utimesSync(it.at("token"), 1000, 1000);
    await it.keep();
    expect(readFileSync(it.at("init-token"), "utf8")).toBe("an admin's");
  });

  test("reports the lifetime of one that can't be renewed, and keeps an init token beside it", async () => {
    const token = await madeToken(cluster, { ttl: "2h", renewable: false, policies: ["default"] });
    await using it = host({ "init-token": await cluster.initToken("worker"), token });
    const kept = await it.keep();
    expect(kept.how).toBe("not renewable");
    expect(kept.ttlSeconds).toBeWithin(7100, 7201);
    expect(it.relay.passed.map(({ path }) => path)).toEqual([
      "auth/token/renew-self",
      "auth/token/lookup-self",
    ]);
    expect(existsSync(it.at("init-token"))).toBe(true);
    expect(it.stored()).toBe(token);
  });

  test("accepts a token that never expires", async () => {
    await using it = host({ token: cluster.rootToken });
    expect(await it.keep()).toMatchObject({ how: "not renewable", ttlSeconds: 0 });
  });
});

describe("keepHostToken() exchanges the init token", () => {
  const without: ReadonlyArray<readonly [string, () => Promise<Record<string, string>>]> = [
    ["there is no token", async () => ({})],
    ["the token file is empty", async () => ({ token: "" })],
    ["the token file is blank", async () => ({ token: " \n" })],
    ["the server knows the token no more", async () => ({ token: await revokedToken(cluster) })],
  ];
  test.each(without)("if %s", async (_name, files) => {
    await using it = host({ ...(await files()), "init-token": `${await cluster.initToken("worker")}\n` });
    const kept = await it.keep();
    expect(kept).toMatchObject({ how: "exchanged", ttlSeconds: fiveYears });
    expect(it.stored()).toBe(`${kept.token}\n`);
    expect(modeOf(it.at("token"))).toBe("600");
    expect(readdirSync(it.path).sort()).toEqual(["token"]);
    expect((await lookupSelf(cluster.admin, kept.token)).policies).toEqual(["default", "demo/worker"]);
    expect(it.relay.passed.filter(({ path }) => path.startsWith("auth/token/create"))).toHaveLength(1);
    // From then on it is like any other token.
    expect(await it.keep()).toMatchObject({ how: "renewed", token: kept.token });
  });

  test("stores the token before it removes the init token, so a failed removal loses no token", async () => {
    const folder: { path: string } = { path: "" };
    const init = await cluster.initToken("worker");
    await using it = host({ "init-token": init }, async (seen, _number, pass) => {
      if (!seen.path.startsWith("auth/token/create")) return undefined;
      const answer = await pass();
      const path = join(folder.path, "init-token");
      rmSync(path);
      mkdirSync(path);
      return answer;
    });
    folder.path = it.path;
    expect((await it.keep()).how).toBe("exchanged");
    const words = `can't remove the init token ${it.at("init-token")}`;
    expect(it.notes.at(-1)).toStartWith(words);
    expect(await isAlive(cluster, it.stored().trim())).toBe(true);
    // Every run tries again, and says so.
    expect((await it.keep()).how).toBe("renewed");
    expect(it.notes.at(-1)).toStartWith(words);
    rmSync(it.at("init-token"), { recursive: true });
    it.notes.length = 0;
    expect([(await it.keep()).how, it.notes]).toEqual(["renewed", []]);
  });

  test("removes a killed run's temporary files", async () => {
    await using it = host({
      "init-token": await cluster.initToken("worker"),
      ".token.tmp-0123456789ab": "half a tok",
      ".token.tmp-mine": "somebody's",
    });
    await it.keep();
    expect(readdirSync(it.path).sort()).toEqual([".token.tmp-mine", "token"]);
  });

  test("once, for several concurrent runs", async () => {
    await using it = host({ "init-token": await cluster.initToken("worker") }, async (seen) => {
      if (seen.path.startsWith("auth/token/create")) await Bun.sleep(200);
      return undefined;
    });
    const kept = await Promise.all([it.keep(), it.keep(), it.keep()]);
    expect(new Set(kept.map(({ token }) => token)).size).toBe(1);
    expect(kept.filter(({ how }) => how === "exchanged")).toHaveLength(1);
    expect(it.relay.passed.filter(({ path }) => path.startsWith("auth/token/create"))).toHaveLength(1);
  });
});
