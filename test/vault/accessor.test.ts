import { describe, expect, test } from "bun:test";
import { listAccessors, lookupAccessor, revokeAccessor } from "../../lib/vault/accessor.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import { createOrphan, lookupSelf } from "../../lib/vault/token.ts";
import { devServer } from "../support/dev-server.ts";
import { startScripted } from "../support/scripted.ts";

const { client } = await devServer();

describe("lookupAccessor() and revokeAccessor()", () => {
  test("look up and revoke a token, and find nothing afterwards", async () => {
    const id = "by-accessor";
    await createOrphan(client, { id, displayName: id, policies: ["default"], periodSeconds: 3_600 });
    const { accessor } = await lookupSelf(client, id);
    expect(await listAccessors(client)).toContain(accessor);
    const found = await lookupAccessor(client, accessor);
    expect(found).toMatchObject({ accessor, role: undefined, policies: ["default"] });
    expect(found?.ttlSeconds).toBeGreaterThan(3_590);

    await revokeAccessor(client, accessor);
    expect(await lookupAccessor(client, accessor)).toBeUndefined();
    await revokeAccessor(client, accessor);
    expect(await listAccessors(client)).not.toContain(accessor);
  });

  test("find nothing if another kind of server says that the accessor is unknown", async () => {
    await using old = startScripted(() => Response.json({ errors: ["invalid accessor"] }, { status: 400 }));
    const client = createVaultClient({ address: old.address });
    expect(await lookupAccessor(client, "gone")).toBeUndefined();
    await revokeAccessor(client, "gone");
  });
});
