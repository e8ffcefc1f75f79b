import { beforeAll, describe, expect, test } from "bun:test";
import { startServer } from "../../lib/server/start-server.ts";
import { createVaultClient, type VaultClient } from "../../lib/vault/client.ts";
import { readData } from "../../lib/vault/data.ts";
import { isNothingThere } from "../../lib/vault/error.ts";
import { writePolicy } from "../../lib/vault/sys.ts";
import { createOrphan } from "../../lib/vault/token.ts";
import { isUnknownToken } from "../../lib/vault/unknown-token.ts";
import { devServer } from "../support/dev-server.ts";
import { createOnce, get, vaultErrorOf } from "../support/vault.ts";

const { server, client: root } = await devServer();

describe("client.request() with a token that the server does not know", () => {
  test.each([
    ["a read", get("sys/mounts")],
    ["a look at itself", get("auth/token/lookup-self")],
    ["a creation", createOnce()],
  ])("says so on %s", async (_what, request) => {
    const client = createVaultClient({ address: server.address, token: "hvs.unknown" });
    const error = await vaultErrorOf(() => client.request(request));
    expect(await isUnknownToken(client, "hvs.unknown", error)).toBe(true);
    expect(error.kind).toBe("permission");
    expect(error.hint).toStartWith("the server does not know this token");
    expect(Bun.inspect(error)).not.toContain("hvs.unknown");
  });
});

describe("client.request() with a token that has few rights", () => {
  let client: VaultClient;
  beforeAll(async () => {
    await writePolicy(root, "little", 'path "sys/policies/acl/*" { capabilities = ["read"] }');
    const id = "may-do-little";
    await createOrphan(root, { id, displayName: "little", policies: ["little"], periodSeconds: 3600 });
    client = createVaultClient({ address: server.address, token: id });
  });

  test("succeeds if a policy grants it", async () => {
    expect(await readData(client, "sys/policies/acl/little")).toBeDefined();
  });

  test("names the path and the missing capability", async () => {
    const error = await vaultErrorOf(() => client.request(get("sys/mounts")));
    expect(error.message).toStartWith("GET sys/mounts: permission denied (HTTP 403,");
    expect(error.hint).toBe('the token needs a policy with the capability "read" on sys/mounts');
    expect(error.kind).toBe("permission");
    expect(await isUnknownToken(client, "may-do-little", error)).toBe(false);
  });

  test("names each missing capability", async () => {
    const error = await vaultErrorOf(() => writePolicy(client, "other", ""));
    expect(error.hint).toBe(
      'the token needs a policy with the capabilities "create" and "update" on sys/policies/acl/other',
    );
  });

  test("says the same without a token", async () => {
    const error = await vaultErrorOf(() => createVaultClient({ address: server.address }).request(get()));
    expect(error.kind).toBe("permission");
  });
});

describe("client.request() to a path that holds nothing", () => {
  test("says that nothing is mounted there", async () => {
    const error = await vaultErrorOf(() => root.request(get("demo/pki/k8s/roles/kubelet")));
    expect(error.message).toContain('no handler for route "demo/pki/k8s/roles/kubelet"');
    expect(error.hint).toContain("nothing is mounted at that path");
    expect(error.kind).toBe("config");
    expect(isNothingThere(error)).toBe(false);
  });

  test.each(["secret/data/none", "sys/policies/acl/none", "auth/token/roles/none", "cubbyhole/none"])(
    "says that nothing is at %s, although its mount exists",
    async (path) => {
      expect(isNothingThere(await vaultErrorOf(() => root.request(get(path))))).toBe(true);
      expect(await readData(root, path)).toBeUndefined();
    },
  );

  test("is an error for readData() if nothing is mounted", async () => {
    const error = await vaultErrorOf(() => readData(root, "demo/secrets/service-accounts"));
    expect(error.kind).toBe("config");
  });

  test("finds nothing if the version of a secret was deleted", async () => {
    const path = "secret/data/gone";
    const write = { method: "POST", capability: "create update", repeatable: true } as const;
    await root.request({ ...write, path, body: { data: { key: "value" } } });
    expect(await readData(root, path)).toBeDefined();
    await root.request({ method: "DELETE", path, capability: "delete", repeatable: true });
    expect(await readData(root, path)).toBeUndefined();
  });
});

describe("client.request() with a path that needs escaping", () => {
  test("reads and writes the same path", async () => {
    const path = "cubbyhole/größe +&=;@: x";
    await root.request({
      method: "POST",
      path,
      body: { a: "b" },
      capability: "create update",
      repeatable: true,
    });
    expect((await readData(root, path))?.string("a")).toBe("b");
    const keys = (await root.ask({ ...get("cubbyhole"), list: true })).object("data").strings("keys");
    expect(keys).toContain("größe +&=;@: x");
  });
});

test("a stopped server counts as unreachable for now", async () => {
  const other = await startServer({ mode: "dev" });
  const client = createVaultClient({ address: other.address, token: other.rootToken });
  await client.request(get());
  await other[Symbol.asyncDispose]();
  const error = await vaultErrorOf(() => client.request(get()));
  expect(error.kind).toBe("temporary");
  expect(error.message).toContain("refuses the connection");
});
