import { describe, expect, test } from "bun:test";
import { readSecret, writeSecret } from "../../lib/vault/kv.ts";
import { enableMount } from "../../lib/vault/sys.ts";
import { devServer } from "../support/dev-server.ts";
import { vaultErrorOf } from "../support/vault.ts";

const { client } = await devServer();
await enableMount(client, "demo/secrets", "generic", {});

describe("writeSecret()", () => {
  test("replaces the secret that readSecret() returns", async () => {
    const path = "demo/secrets/service-accounts";
    expect(await readSecret(client, path)).toBeUndefined();
    await writeSecret(client, path, { key: "one\ntwo\n", more: "ß" });
    expect(await readSecret(client, path)).toEqual({ key: "one\ntwo\n", more: "ß" });
    await writeSecret(client, path, { key: "three" });
    expect(await readSecret(client, path)).toEqual({ key: "three" });
  });

  test("does not show the secret when it is refused", async () => {
    const error = await vaultErrorOf(() => writeSecret(client, "nowhere/a", { key: "very-secret" }));
    expect(error.kind).toBe("config");
    expect(Bun.inspect(error)).not.toContain("very-secret");
  });
});

describe("readSecret()", () => {
  test("finds nothing at a folder", async () => {
    await writeSecret(client, "demo/secrets/folder/a", { key: "a" });
    expect(await readSecret(client, "demo/secrets/folder")).toBeUndefined();
  });

  test("fails if nothing is mounted", async () => {
    expect((await vaultErrorOf(() => readSecret(client, "nowhere/a"))).kind).toBe("config");
  });
});
