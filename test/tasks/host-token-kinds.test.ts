import { afterAll, describe, expect, test } from "bun:test";
import { startCluster } from "../support/cluster-server.ts";
import { failureOf } from "../support/failure.ts";
import type { Fault } from "../support/relay.ts";
import { treeOf } from "../support/tree.ts";
import { madeToken, tokenHost } from "./token-host.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());
const host = (files: Readonly<Record<string, string>>, fault?: Fault) => tokenHost(cluster, files, fault);
const policies = ["default", "demo/worker"];

/** A token that wraps the server's answer to a request. */
async function wrappedAnswer(method: "GET" | "POST", path: string, ttl = "60s"): Promise<string> {
  const response = await fetch(`${cluster.address}/v1/${path}`, {
    method,
    headers: { "X-Vault-Token": cluster.rootToken, "X-Vault-Wrap-TTL": ttl },
    ...(method === "POST" ? { body: "{}" } : {}),
  });
  return Object(await response.json()).wrap_info.token;
}

async function unwrapped(token: string): Promise<number> {
  const headers = { "X-Vault-Token": token };
  return (await fetch(`${cluster.address}/v1/sys/wrapping/unwrap`, { method: "POST", headers })).status;
}

describe("keepHostToken() with a batch token", () => {
  test("reports how long it is valid, like any token that can't be renewed", async () => {
    await using it = host({ token: await madeToken(cluster, { type: "batch", policies, ttl: "2h" }) });
    const kept = await it.keep();
    expect([kept.how, it.notes]).toEqual(["not renewable", []]);
    expect(kept.ttlSeconds).toBeWithin(7100, 7201);
  });

  test("that has expired exchanges the init token", async () => {
    const token = await madeToken(cluster, { type: "batch", policies, ttl: "1s" });
    await using it = host({ token, "init-token": await cluster.initToken("worker") });
    await Bun.sleep(2100);
    expect((await it.keep()).how).toBe("exchanged");
  });
});

describe("keepHostToken() with a token that is limited to a number of requests", () => {
  test("renews it, and notes that it will be used up", async () => {
    await using it = host({ token: await madeToken(cluster, { num_uses: 3, policies, ttl: "2h" }) });
    expect((await it.keep()).how).toBe("renewed");
    expect((await it.keep()).how).toBe("renewed");
    const words = `the token in ${it.at("token")} is limited to a number of requests: `;
    expect(it.notes).toEqual([expect.stringContaining(words), expect.stringContaining(words)]);
    expect((await failureOf(() => it.keep())).kind).toBe("permission");
  });

  test("counts a token as gone after its last request, and exchanges the init token", async () => {
    const token = await madeToken(cluster, { num_uses: 1, policies, ttl: "2h" });
    await using alone = host({ token });
    const failure = await failureOf(() => alone.keep());
    expect(failure.kind).toBe("permission");
    expect(failure.message).toStartWith(`the server does not know the token in ${alone.at("token")}`);

    const next = await madeToken(cluster, { num_uses: 1, policies, ttl: "2h" });
    await using it = host({ token: next, "init-token": await cluster.initToken("worker") });
    expect((await it.keep()).how).toBe("exchanged");
  });
});

describe("keepHostToken() with a wrapping token as the init token", () => {
  test.each([
    ["an init token", "GET", "demo/secrets/init_token_worker"],
    ["a token of the host's role", "POST", "auth/token/create/demo-worker"],
  ] as const)("refuses one that wraps %s, and does not use it up", async (_, method, path) => {
    const token = await wrappedAnswer(method, path);
    await using it = host({ "init-token": token });
    const before = treeOf(it.path);
    for (let run = 0; run < 2; run++) {
      const failure = await failureOf(() => it.keep());
      expect([failure.kind, failure.message]).toEqual([
        "data",
        `${it.at("init-token")} holds a wrapping token instead of an init token: it wraps the answer of ${path}`,
      ]);
      expect(failure.hint).toContain("vault unwrap");
    }
    expect(treeOf(it.path)).toEqual(before);
    expect(await unwrapped(token)).toBe(200);
    // After unwrapping, it is an unknown token.
    const failure = await failureOf(() => it.keep());
    expect(failure.message).toContain("does not know the init token");
  });

  test("exchanges an init token if its lookup is forbidden", async () => {
    await using it = host({ "init-token": await cluster.initToken("worker") }, ({ path }) =>
      path === "sys/wrapping/lookup" ? Response.json({ errors: ["no"] }, { status: 403 }) : undefined,
    );
    expect((await it.keep()).how).toBe("exchanged");
  });
});
