import { expect, test } from "bun:test";
import { startServer } from "../../lib/server/start-server.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import { createOrphan, lookupSelf } from "../../lib/vault/token.ts";
import { startScripted } from "../support/scripted.ts";
import { get } from "../support/vault.ts";

test("client.request() follows a real standby to its leader", async () => {
  await using leader = await startServer({ mode: "raft" });
  await using standby = await startServer({ mode: "raft", join: leader });
  const answers: Array<readonly [status: number, location: string | null]> = [];
  // A standby forwards requests unless it is asked not to. This proxy asks.
  await using before = startScripted(async ({ method, path, headers, body }) => {
    headers.delete("host");
    headers.set("X-Vault-No-Request-Forwarding", "true");
    const response = await fetch(standby.address + path, {
      method,
      headers,
      redirect: "manual",
      ...(body === "" ? {} : { body }),
    });
    const location = response.headers.get("location");
    answers.push([response.status, location]);
    return new Response(response.body, {
      status: response.status,
      headers: location === null ? {} : { location },
    });
  });
  const client = createVaultClient({ address: before.address, token: leader.rootToken });

  // A write, since a standby of some servers answers reads itself.
  const id = "made-by-way-of-a-standby";
  await createOrphan(client, { id, displayName: "t", policies: ["default"], periodSeconds: 3600 });
  expect(answers).toEqual([[307, `${leader.address}/v1/auth/token/create-orphan`]]);

  expect(await client.request(get())).toHaveProperty("data");
  expect((await lookupSelf(client, id)).ttlSeconds).toBeGreaterThan(3500);
  expect(before.seen).toHaveLength(1);
}, 30_000);
