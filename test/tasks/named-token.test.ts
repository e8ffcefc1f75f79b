import { afterAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { lookupAccessor } from "../../lib/vault/accessor.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import { startCluster } from "../support/cluster-server.ts";
import type { Fault } from "../support/relay.ts";
import { madeToken, tokenHost } from "./token-host.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const name = hostname().replaceAll(/[^\w.-]/g, "");
const creation = { method: "POST", path: "auth/token/create/demo-worker" };

async function displayName(accessor: string): Promise<unknown> {
  const answer = await cluster.admin.ask({
    method: "POST",
    path: "auth/token/lookup-accessor",
    body: { accessor },
    capability: "update",
    repeatable: true,
  });
  return answer.object("data").fields.display_name;
}

/** Exchanges an init token. @returns the requests, and what the server stores about the new token */
async function exchange(initToken: string, fault?: Fault) {
  await using it = tokenHost(cluster, { "init-token": initToken }, fault);
  const { how, accessor } = await it.keep();
  expect({ how, isLeft: existsSync(it.at("init-token")) }).toEqual({ how: "exchanged", isLeft: false });
  return {
    // The first request looks up the init token.
    passed: it.relay.passed.slice(1),
    host: (await lookupAccessor(cluster.admin, accessor))?.host,
    displayName: await displayName(accessor),
  };
}

describe("a new host token", () => {
  test("has the host's name, after one request", async () => {
    expect(await exchange(await cluster.initToken("worker"))).toEqual({
      passed: [creation],
      host: name,
      displayName: `token-${name.replaceAll(/[^a-zA-Z0-9-]/g, "-")}`,
    });
  });

  test("has the host's name with the Go tool's policy, which limits no parameter", async () => {
    await cluster.write("sys/policies/acl/go-tool", {
      policy: 'path "auth/token/create/demo-worker" { capabilities = ["create", "read", "update"] }',
    });
    expect((await exchange(await madeToken(cluster, { policies: ["go-tool"] }))).host).toBe(name);
  });

  test.each([
    ["no parameter", '"" = []'],
    ["a name, and nothing else", '"display_name" = []'],
  ])("is made without a name if a policy allows %s", async (_, allowed) => {
    await cluster.write("sys/policies/acl/narrow", {
      policy: `path "auth/token/create/demo-worker" { capabilities = ["update"]\n allowed_parameters = { ${allowed} } }`,
    });
    const made = await exchange(await madeToken(cluster, { policies: ["narrow"] }));
    expect(made).toEqual({ passed: [creation, creation], host: undefined, displayName: "token" });
  });

  test.each([400, 403, 422])(
    "is made without a name by a server that refuses one with %d",
    async (status) => {
      const made = await exchange(await cluster.initToken("worker"), (_, number) =>
        number === 2 ? Response.json({ errors: ["1 error occurred: no meta here"] }, { status }) : undefined,
      );
      expect(made).toEqual({ passed: [creation, creation], host: undefined, displayName: "token" });
    },
  );

  test("is requested once if the init token is unknown or the server can't answer now", async () => {
    const sealed: Fault = ({ path }) =>
      path === creation.path ? Response.json({ errors: ["sealed"] }, { status: 503 }) : undefined;
    for (const [initToken, fault] of [
      ["unknown-to-the-server", undefined],
      [await cluster.initToken("worker"), sealed],
    ] as const) {
      await using it = tokenHost(cluster, { "init-token": initToken }, fault);
      await it
        .keep({ client: createVaultClient({ address: it.relay.address, maxRetries: 0 }) })
        .catch(() => {});
      expect(it.relay.passed.filter(({ path }) => path === creation.path)).toHaveLength(1);
      expect(existsSync(it.at("init-token"))).toBe(true);
    }
  });
});
