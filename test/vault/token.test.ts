import { describe, expect, test } from "bun:test";
import { startServer } from "../../lib/server/start-server.ts";
import { lookupAccessor } from "../../lib/vault/accessor.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import { means } from "../../lib/vault/error.ts";
import {
  createFromRole,
  createOrphan,
  deleteTokenRole,
  lookupSelf,
  readTokenRole,
  renewSelf,
  revokeSelf,
  writeTokenRole,
} from "../../lib/vault/token.ts";
import { isUnknownToken } from "../../lib/vault/unknown-token.ts";
import { devServer } from "../support/dev-server.ts";
import { vaultErrorOf } from "../support/vault.ts";

const { server, client } = await devServer();

/** A token with a chosen id and a period of one hour. */
async function orphan(id: string): Promise<string> {
  await createOrphan(client, { id, displayName: id, policies: ["default"], periodSeconds: 3_600 });
  return id;
}

describe("createOrphan()", () => {
  test("makes a token as requested", async () => {
    const info = await lookupSelf(client, await orphan("made"));
    expect(info.renewable).toBe(true);
    expect(info.policies).toEqual(["default"]);
    expect(info.ttlSeconds).toBeGreaterThan(3_590);
    expect(info.ttlSeconds).toBeLessThanOrEqual(3_600);
    expect(info.lifetimeSeconds).toBe(3_600);
    expect(info.accessor).not.toBe("");
  });

  test("is refused for an existing id", async () => {
    await orphan("twice");
    const error = await vaultErrorOf(() => orphan("twice"));
    expect(error.kind).toBe("data");
    expect(Bun.inspect(error)).not.toContain('"id"');
  });
});

describe("lookupSelf()", () => {
  test("looks up the client's own token", async () => {
    expect(await lookupSelf(client)).toMatchObject({
      ttlSeconds: 0,
      lifetimeSeconds: 0,
      renewable: false,
      policies: ["root"],
    });
  });

  test("looks up a server's first root token, which has fewer fields", async () => {
    await using raft = await startServer({ mode: "raft" });
    const root = createVaultClient({ address: raft.address, token: raft.rootToken });
    expect(await lookupSelf(root)).toMatchObject({ ttlSeconds: 0, lifetimeSeconds: 0, renewable: false });
  });
});

describe("renewSelf()", () => {
  test("renews and describes the given token", async () => {
    const token = await orphan("renewed");
    const { accessor } = await lookupSelf(client, token);
    expect(await renewSelf(client, token)).toMatchObject({
      accessor,
      leaseSeconds: 3_600,
      renewable: true,
      policies: ["default"],
    });
  });

  test("renews the client's own", async () => {
    const own = createVaultClient({ address: server.address, token: await orphan("own") });
    expect((await renewSelf(own)).leaseSeconds).toBe(3_600);
  });

  test("is refused for a token that can't be renewed", async () => {
    expect(means(await vaultErrorOf(() => renewSelf(client)), "notRenewable")).toBe(true);
  });

  test("is refused for an unknown token", async () => {
    const error = await vaultErrorOf(() => renewSelf(client, "never-made"));
    expect(await isUnknownToken(client, "never-made", error)).toBe(true);
    expect(means(error, "notRenewable")).toBe(false);
  });
});

describe("writeTokenRole()", () => {
  test("changes the given fields that readTokenRole() returns, and keeps the others", async () => {
    expect(await readTokenRole(client, "demo-etcd")).toBeUndefined();
    await writeTokenRole(client, "demo-etcd", { period: "1h", orphan: true, path_suffix: "demo/etcd" });
    await writeTokenRole(client, "demo-etcd", { allowed_policies: ["default"] });
    expect(await readTokenRole(client, "demo-etcd")).toMatchObject({
      period: 3_600,
      orphan: true,
      path_suffix: "demo/etcd",
      allowed_policies: ["default"],
    });
  });
});

describe("createFromRole()", () => {
  test("makes a token with the role's settings", async () => {
    await writeTokenRole(client, "demo-worker", {
      period: "2h",
      orphan: true,
      renewable: true,
      allowed_policies: ["default"],
    });
    const made = await createFromRole(client, "demo-worker", server.rootToken);
    expect(made).toMatchObject({ leaseSeconds: 7_200, renewable: true, policies: ["default"] });
    expect(await lookupSelf(client, made.token)).toMatchObject({ accessor: made.accessor });
    const again = await createFromRole(client, "demo-worker", server.rootToken);
    expect(again.token).not.toBe(made.token);
  });

  test("uses the given token instead of the client's", async () => {
    const token = await orphan("may-not-create");
    const error = await vaultErrorOf(() => createFromRole(client, "demo-worker", token));
    expect(error.hint).toBe(
      'the token needs a policy with the capabilities "create" and "update" on auth/token/create/demo-worker',
    );
  });

  test("is refused for a missing role", async () => {
    const error = await vaultErrorOf(() => createFromRole(client, "none", server.rootToken));
    expect(error.message).toContain("unknown role none");
    expect(error.kind).toBe("config");
  });
});

describe("revokeSelf()", () => {
  test("revokes the given token", async () => {
    const token = await orphan("revoked");
    await revokeSelf(client, token);
    const error = await vaultErrorOf(() => lookupSelf(client, token));
    expect(await isUnknownToken(client, token, error)).toBe(true);
    expect((await lookupSelf(client)).policies).toEqual(["root"]);
  });
});

describe("deleteTokenRole()", () => {
  test("deletes a role and keeps its tokens", async () => {
    await writeTokenRole(client, "going", { orphan: true, period: 3_600 });
    const { token, accessor } = await createFromRole(client, "going", server.rootToken);
    await deleteTokenRole(client, "going");
    await deleteTokenRole(client, "going");
    expect(await readTokenRole(client, "going")).toBeUndefined();
    expect(await lookupAccessor(client, accessor)).toMatchObject({ role: "going" });
    await revokeSelf(client, token);
  });
});
