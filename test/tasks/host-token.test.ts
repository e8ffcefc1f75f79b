import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { ExitCode } from "../../lib/failure.ts";
import { type HostToken, type HostTokenOptions, keepHostToken } from "../../lib/tasks/host-token.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import { lookupSelf } from "../../lib/vault/token.ts";
import { startCluster } from "../support/cluster-server.ts";
import { failureOf } from "../support/failure.ts";
import { temporaryFolder } from "../support/folder.ts";
import { type Fault, startRelay } from "../support/relay.ts";
import { modeOf, treeOf } from "../support/tree.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const fiveYears = 5 * 365 * 86_400;

/** A configuration directory, and what stands between it and the server. */
function host(files: Readonly<Record<string, string>>, fault?: Fault) {
  const folder = temporaryFolder();
  const relay = startRelay(cluster.address, fault);
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder.path, name), content, { mode: 0o600 });
  }
  const notes: string[] = [];
  return {
    path: folder.path,
    relay,
    notes,
    at: (name: string) => join(folder.path, name),
    stored: () => readFileSync(join(folder.path, "token"), "utf8"),
    keep: (more: Partial<HostTokenOptions> = {}): Promise<HostToken> =>
      keepHostToken({
        client: createVaultClient({ address: relay.address }),
        configPath: folder.path,
        initRole: "demo-worker",
        signal: AbortSignal.timeout(20_000),
        onNote: (sentence) => notes.push(sentence),
        ...more,
      }),
    async [Symbol.asyncDispose]() {
      await relay[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

async function madeToken(options: object): Promise<string> {
  const answer = await cluster.admin.ask({
    method: "POST",
    path: "auth/token/create",
    body: options,
    capability: "update",
    repeatable: false,
  });
  return answer.object("auth").text("client_token");
}

async function revoked(): Promise<string> {
  const token = await cluster.hostToken("worker");
  await cluster.write("auth/token/revoke", { token });
  return token;
}

const isAlive = (token: string) =>
  lookupSelf(cluster.admin, token).then(
    () => true,
    () => false,
  );

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

  test.each(["\n", "\r\n", "  \n\n"])("takes it with %j behind it", async (end) => {
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

  test("removes an init token that is older: the trade was stopped before it could", async () => {
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

  test("tells one that can't be renewed by its life, and keeps an init token beside it", async () => {
    const token = await madeToken({ ttl: "2h", renewable: false, policies: ["default"] });
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

  test("takes a token that never expires for what it is", async () => {
    await using it = host({ token: cluster.rootToken });
    expect(await it.keep()).toMatchObject({ how: "not renewable", ttlSeconds: 0 });
  });
});

describe("keepHostToken() trades the init token", () => {
  const without: ReadonlyArray<readonly [string, () => Promise<Record<string, string>>]> = [
    ["there is no token", async () => ({})],
    ["the token file is empty", async () => ({ token: "" })],
    ["the token file is blank", async () => ({ token: " \n" })],
    ["the server knows the token no more", async () => ({ token: await revoked() })],
  ];
  test.each(without)("where %s", async (_name, files) => {
    await using it = host({ ...(await files()), "init-token": `${await cluster.initToken("worker")}\n` });
    const kept = await it.keep();
    expect(kept).toMatchObject({ how: "traded", ttlSeconds: fiveYears });
    expect(it.stored()).toBe(`${kept.token}\n`);
    expect(modeOf(it.at("token"))).toBe("600");
    expect(readdirSync(it.path).sort()).toEqual([".lock", "token"]);
    expect((await lookupSelf(cluster.admin, kept.token)).policies).toEqual(["default", "demo/worker"]);
    expect(it.relay.passed.filter(({ path }) => path.startsWith("auth/token/create"))).toHaveLength(1);
    // And then it is like any other.
    expect(await it.keep()).toMatchObject({ how: "renewed", token: kept.token });
  });

  test("stores the token before the init token goes: one that can't be removed costs no token", async () => {
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
    const failure = await failureOf(() => it.keep());
    expect(failure.exitCode).toBe(ExitCode.cantCreate);
    expect(failure.message).toStartWith(`can't remove the init token ${it.at("init-token")}`);
    expect(await isAlive(it.stored().trim())).toBe(true);
    rmSync(it.at("init-token"), { recursive: true });
    expect((await it.keep()).how).toBe("renewed");
  });

  test("removes what a killed run left of the token file", async () => {
    await using it = host({
      "init-token": await cluster.initToken("worker"),
      ".token.tmp-0123456789ab": "half a tok",
      ".token.tmp-mine": "somebody's",
    });
    await it.keep();
    expect(readdirSync(it.path).sort()).toEqual([".lock", ".token.tmp-mine", "token"]);
  });

  test("once, when several want to at one moment", async () => {
    await using it = host({ "init-token": await cluster.initToken("worker") }, async (seen) => {
      if (seen.path.startsWith("auth/token/create")) await Bun.sleep(200);
      return undefined;
    });
    const kept = await Promise.all([it.keep(), it.keep(), it.keep()]);
    expect(new Set(kept.map(({ token }) => token)).size).toBe(1);
    expect(kept.filter(({ how }) => how === "traded")).toHaveLength(1);
    expect(it.relay.passed.filter(({ path }) => path.startsWith("auth/token/create"))).toHaveLength(1);
  });
});

describe("keepHostToken() without a token of use says so, and changes nothing:", () => {
  interface Case {
    readonly name: string;
    readonly files: () => Promise<Record<string, string>>;
    readonly code: ExitCode;
    readonly words: string;
    readonly options?: Partial<HostTokenOptions>;
  }
  const init = () => cluster.initToken("worker");
  const cases: readonly Case[] = [
    {
      name: "no file at all",
      files: async () => ({}),
      code: 77,
      words: "there is no token at DIR/token, and there is no init token at DIR/init-token",
    },
    {
      name: "an empty token file alone",
      files: async () => ({ token: "" }),
      code: 77,
      words: "the token file DIR/token is empty, and there is no init token",
    },
    {
      name: "a blank one",
      files: async () => ({ token: "\n \n" }),
      code: 77,
      words: "the token file DIR/token holds nothing but white space, and there is no init token",
    },
    {
      name: "an unknown token alone",
      files: async () => ({ token: await revoked() }),
      code: 77,
      words:
        "the server does not know the token in DIR/token: it expired, was revoked, or is another server's, and there is no init token",
    },
    {
      name: "an empty init token",
      files: async () => ({ "init-token": "" }),
      code: 77,
      words: "and the init token is empty at DIR/init-token",
    },
    {
      name: "an over-long token file",
      files: async () => ({ token: "x".repeat(8193), "init-token": await init() }),
      code: 65,
      words: "DIR/token is longer than 8192 bytes",
    },
    {
      name: "a binary token file",
      files: async () => ({ token: "\x7fELF\x02\x01\0\0", "init-token": await init() }),
      code: 65,
      words: "DIR/token holds something that is not a token",
    },
    {
      name: "two words in the token file",
      files: async () => ({ token: "hvs.one hvs.two" }),
      code: 65,
      words: "DIR/token holds something that is not a token",
    },
    {
      name: "a binary init token",
      files: async () => ({ "init-token": "\0\0" }),
      code: 65,
      words: "DIR/init-token holds something that is not a token",
    },
    {
      name: "an unknown init token",
      files: async () => ({ "init-token": await revoked() }),
      code: 77,
      words:
        "the server does not know the init token in DIR/init-token: it expired, was revoked, or is another server's",
    },
    {
      name: "another role than the init token's",
      files: async () => ({ "init-token": await init() }),
      code: 77,
      words: "POST auth/token/create/demo-master: permission denied",
      options: { initRole: "demo-master" },
    },
    {
      name: "no role",
      files: async () => ({ "init-token": await init() }),
      code: 78,
      words: "the init token's role is not set",
      options: { initRole: undefined },
    },
  ];
  test.each(cases)("$name", async ({ files, code, words, options }) => {
    await using it = host(await files());
    const before = Object.entries(treeOf(it.path));
    const failure = await failureOf(() => it.keep(options));
    expect(failure.exitCode).toBe(code);
    expect(failure.message).toContain(words.replaceAll("DIR", it.path));
    expect(failure.message).not.toMatch(/hvs\.[A-Za-z0-9]{10}/);
    expect(failure.hint).toBeString();
    // But for the lock's file, and so the folder's own times.
    const after = Object.entries(treeOf(it.path)).filter(([name]) => name !== ".lock" && name !== ".");
    expect(after).toEqual(before.filter(([name]) => name !== "."));
  });

  test.each(["token", "init-token"])(
    "a %s that belongs to another user, who could choose it for us",
    async (name) => {
      await using it = host({ [name]: await init() });
      chownSync(it.at(name), 4321, 0);
      const failure = await failureOf(() => it.keep());
      expect(failure.exitCode).toBe(ExitCode.noPermission);
      expect(failure.message).toBe(`${it.at(name)} belongs to another user (4321)`);
      expect(it.relay.passed).toEqual([]);
    },
  );

  test("a folder in the token file's place", async () => {
    await using it = host({ "init-token": await init() });
    mkdirSync(it.at("token"));
    const failure = await failureOf(() => it.keep());
    expect(failure.exitCode).toBe(ExitCode.data);
    expect(failure.message).toBe(`${it.at("token")} is not a plain file`);
    expect(it.relay.passed).toEqual([]);
  });
});

describe("keepHostToken() when the new token can't be stored", () => {
  /** The server makes the token, and then there is a folder where it should go. */
  const blockStore =
    (path: string, more?: Fault): Fault =>
    async (seen, number, pass) => {
      if (!seen.path.startsWith("auth/token/create")) return await more?.(seen, number, pass);
      const answer = await pass();
      mkdirSync(join(path, "token"));
      return answer;
    };

  test("gives it back, names it by its accessor, and keeps the init token", async () => {
    let made = "";
    const folder: { path: string } = { path: "" };
    await using it = host({ "init-token": await cluster.initToken("worker") }, async (seen, number, pass) => {
      const answer = await blockStore(folder.path)(seen, number, pass);
      if (answer === undefined) return undefined;
      const text = await answer.text();
      made = JSON.parse(text).auth.client_token;
      return new Response(text, answer);
    });
    folder.path = it.path;
    const failure = await failureOf(() => it.keep());
    expect(failure.exitCode).toBe(ExitCode.cantCreate);
    expect(failure.message).toStartWith(`can't write ${it.at("token")}: it is a folder`);
    expect(it.relay.passed.map(({ path }) => path)).toEqual([
      "auth/token/create/demo-worker",
      "auth/token/revoke-self",
    ]);
    expect(made).not.toBe("");
    expect(await isAlive(made)).toBe(false);
    expect(existsSync(it.at("init-token"))).toBe(true);
    expect(it.notes).toEqual([
      expect.stringMatching(/^the init token got this host a token of its own, accessor \w+$/),
      expect.stringMatching(/^the new token \(accessor \w+\) could not be stored, and was revoked$/),
    ]);
    expect(readdirSync(it.path).filter((name) => name.includes("tmp"))).toEqual([]);
  });

  test("names it for an admin where it can't be given back either", async () => {
    const folder: { path: string } = { path: "" };
    await using it = host({ "init-token": await cluster.initToken("worker") }, (seen, number, pass) =>
      blockStore(folder.path, () => Response.json({ errors: ["internal error"] }, { status: 400 }))(
        seen,
        number,
        pass,
      ),
    );
    folder.path = it.path;
    await failureOf(() => it.keep());
    expect(it.notes).toEqual([
      expect.stringMatching(/^the init token got this host a token of its own, accessor \w+$/),
      expect.stringMatching(
        /^the new token \(accessor \w+\) could not be stored; revoke it by its accessor$/,
      ),
    ]);
  });
});

describe("keepHostToken() while the server can't serve", () => {
  test("tries again later, and never trades for a token that may still be good", async () => {
    const files = {
      token: await cluster.hostToken("worker"),
      "init-token": await cluster.initToken("worker"),
    };
    await using it = host(files, () => Response.json({ errors: ["Vault is sealed"] }, { status: 503 }));
    utimesSync(it.at("token"), 1000, 1000);
    const before = treeOf(it.path);
    const client = createVaultClient({ address: it.relay.address, maxRetries: 0 });
    const failure = await failureOf(() => it.keep({ client }));
    expect(failure.exitCode).toBe(ExitCode.tryLater);
    expect(it.relay.passed.map(({ path }) => path)).toEqual(["auth/token/renew-self"]);
    expect(treeOf(it.path)).toEqual(before);
  });

  test("does not take a policy's refusal for an unknown token", async () => {
    const token = await madeToken({ ttl: "1h", policies: ["demo/worker"], no_default_policy: true });
    await using it = host({ token, "init-token": await cluster.initToken("worker") });
    const failure = await failureOf(() => it.keep());
    expect(failure.exitCode).toBe(ExitCode.noPermission);
    expect(failure.hint).toContain('"update" on auth/token/renew-self');
    expect(existsSync(it.at("init-token"))).toBe(true);
  });

  test("does not repeat a trade whose answer was lost", async () => {
    await using it = host(
      { "init-token": await cluster.initToken("worker") },
      async (_seen, _number, pass) => {
        await pass();
        return new Response("<html>502</html>", { status: 502 });
      },
    );
    const failure = await failureOf(() => it.keep());
    expect(failure.exitCode).toBe(ExitCode.tryLater);
    expect(it.relay.passed).toHaveLength(1);
    expect(existsSync(it.at("init-token"))).toBe(true);
  });
});
