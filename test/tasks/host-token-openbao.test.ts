import { afterAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { createVaultClient } from "../../lib/vault/client.ts";
import { startCluster } from "../support/cluster-server.ts";
import { failureOf } from "../support/failure.ts";
import { answer, recorded, type Said } from "../support/recorded.ts";
import type { Fault } from "../support/relay.ts";
import { treeOf } from "../support/tree.ts";
import { revokedToken, tokenHost } from "./token-host.ts";

// A real server, with OpenBao's answers for an unknown token.

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const renew = "auth/token/renew-self";
const create = "auth/token/create/demo-worker";
const look = "sys/internal/ui/mounts";
const unknown = recorded["a renewal with an unknown token"].openbao;
const mountsUnknown = recorded["any look at the mounts with an unknown token"].openbao;
const page = () =>
  new Response("<html>Forbidden</html>", { status: 403, headers: { "Content-Type": "text/html" } });

/** Refuses these paths like that; the server answers all others. */
function openbao(says: Readonly<Record<string, Said | (() => Response)>>): Fault {
  return ({ path }) => {
    const said = says[path];
    return typeof said === "function" ? said() : said && answer(said);
  };
}

async function host(fault: Fault, files: Readonly<Record<string, string>> = {}) {
  const init = await cluster.initToken("worker");
  return tokenHost(cluster, { token: await revokedToken(cluster), "init-token": init, ...files }, fault);
}

describe("keepHostToken() with a token that OpenBao no longer knows", () => {
  test("checks that, and exchanges the init token", async () => {
    await using it = await host(openbao({ [renew]: unknown, [look]: mountsUnknown }));
    const kept = await it.keep();
    expect(kept.how).toBe("exchanged");
    expect(it.stored()).toBe(`${kept.token}\n`);
    expect(existsSync(it.at("init-token"))).toBe(false);
    expect(it.relay.passed.map(({ path }) => path)).toEqual([
      renew,
      look,
      look,
      "sys/wrapping/lookup",
      create,
    ]);
  });

  test("says so if there is no init token", async () => {
    await using it = await host(openbao({ [renew]: unknown, [look]: mountsUnknown }), { "init-token": "" });
    const failure = await failureOf(() => it.keep());
    expect(failure.kind).toBe("permission");
    expect(failure.message).toStartWith(`the server does not know the token in ${it.at("token")}`);
  });

  test("names an init token that it does not know either", async () => {
    await using it = await host(openbao({ [renew]: unknown, [look]: mountsUnknown, [create]: unknown }));
    const failure = await failureOf(() => it.keep());
    expect(failure.kind).toBe("permission");
    expect(failure.message).toStartWith(`the server does not know the init token in ${it.at("init-token")}`);
    expect(existsSync(it.at("init-token"))).toBe(true);
  });

  const sealed = recorded["a read from a sealed server"].openbao;
  test.each([
    ["is sealed", sealed, "temporary"],
    ["limits the rate", { status: 429, errors: ["request path quota exceeded"] }, "temporary"],
    ["is cut off by a proxy", page, "unavailable"],
  ] as const)("changes nothing if the server %s before it could tell", async (_name, said, kind) => {
    await using it = await host(openbao({ [renew]: unknown, [look]: said }));
    const before = treeOf(it.path);
    const client = createVaultClient({ address: it.relay.address, maxRetries: 0 });
    const failure = await failureOf(() => it.keep({ client }));
    expect(failure.kind).toBe(kind);
    expect(it.relay.passed.map(({ path }) => path)).toEqual([renew, look]);
    expect(treeOf(it.path)).toEqual(before);
  });

  test("keeps a token that it knows and that may not renew itself", async () => {
    for (const [said, requests] of [
      [recorded["a renewal that no policy grants"].openbao, [renew]],
      // The server's answer shows that it knows the token.
      [unknown, [renew, look]],
    ] as const) {
      const token = await cluster.hostToken("worker");
      await using it = await host(openbao({ [renew]: said }), { token });
      const failure = await failureOf(() => it.keep());
      expect(failure.kind).toBe("permission");
      expect(failure.message).toStartWith(`POST ${renew}: permission denied`);
      expect(it.relay.passed.map(({ path }) => path)).toEqual([...requests]);
      expect(it.stored()).toBe(token);
      expect(existsSync(it.at("init-token"))).toBe(true);
    }
  });
});
