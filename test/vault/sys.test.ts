import { describe, expect, test } from "bun:test";
import {
  deletePolicy,
  enableMount,
  listMounts,
  readAuthMaxLeaseTtl,
  readCapabilities,
  readPolicy,
  tuneAuthMaxLeaseTtl,
  tuneMount,
  writePolicy,
} from "../../lib/vault/sys.ts";
import { disableMount } from "../../lib/vault/unmount.ts";
import { devServer } from "../support/dev-server.ts";
import { vaultErrorOf } from "../support/vault.ts";

const { client } = await devServer();

describe("listMounts()", () => {
  test("lists the mounts of a new server by path, without the closing slash", async () => {
    const mounts = await listMounts(client);
    expect([...mounts.keys()].sort()).toContainValues(["cubbyhole", "identity", "secret", "sys"]);
    expect(mounts.get("secret")).toMatchObject({ type: "kv", options: { version: "2" } });
    expect(mounts.get("cubbyhole")?.options).toEqual({});
  });
});

describe("enableMount()", () => {
  test("mounts with the given settings", async () => {
    await enableMount(client, "demo/pki/k8s", "pki", {
      description: "Kubernetes demo/k8s CA",
      defaultLeaseTtlSeconds: 3_600,
      maxLeaseTtlSeconds: 630_720_000,
    });
    expect((await listMounts(client)).get("demo/pki/k8s")).toEqual({
      type: "pki",
      description: "Kubernetes demo/k8s CA",
      defaultLeaseTtlSeconds: 3_600,
      maxLeaseTtlSeconds: 630_720_000,
      options: {},
    });
  });

  test("leaves all other settings to the server", async () => {
    await enableMount(client, "demo/secrets", "generic", {});
    const mount = (await listMounts(client)).get("demo/secrets");
    expect(mount).toMatchObject({ description: "", defaultLeaseTtlSeconds: 0, maxLeaseTtlSeconds: 0 });
  });

  test("is refused if something is mounted there", async () => {
    await enableMount(client, "twice", "pki", {});
    const error = await vaultErrorOf(() => enableMount(client, "twice", "pki", {}));
    expect(error.message).toContain("path is already in use");
  });
});

describe("tuneMount()", () => {
  test("changes only the given settings", async () => {
    await enableMount(client, "tuned", "pki", {
      description: "one",
      defaultLeaseTtlSeconds: 60,
      maxLeaseTtlSeconds: 120,
    });
    await tuneMount(client, "tuned", { maxLeaseTtlSeconds: 240 });
    expect((await listMounts(client)).get("tuned")).toMatchObject({
      description: "one",
      defaultLeaseTtlSeconds: 60,
      maxLeaseTtlSeconds: 240,
    });
    await tuneMount(client, "tuned", { description: "two", defaultLeaseTtlSeconds: 90 });
    expect((await listMounts(client)).get("tuned")).toMatchObject({
      description: "two",
      defaultLeaseTtlSeconds: 90,
      maxLeaseTtlSeconds: 240,
    });
  });
});

describe("tuneAuthMaxLeaseTtl()", () => {
  test("sets the value that readAuthMaxLeaseTtl() returns", async () => {
    // The server's default, 32 days.
    expect(await readAuthMaxLeaseTtl(client, "token")).toBe(2_764_800);
    await tuneAuthMaxLeaseTtl(client, "token", 157_680_000);
    expect(await readAuthMaxLeaseTtl(client, "token")).toBe(157_680_000);
  });
});

describe("writePolicy()", () => {
  test("replaces the policy that readPolicy() returns", async () => {
    expect(await readPolicy(client, "demo/etcd")).toBeUndefined();
    for (const capability of ["read", "list"]) {
      const policy = `path "demo/*" {\n  capabilities = ["${capability}"]\n}\n`;
      await writePolicy(client, "demo/etcd", policy);
      expect(await readPolicy(client, "demo/etcd")).toBe(policy);
    }
  });
});

describe("disableMount() and deletePolicy()", () => {
  test("remove what exists, and succeed if nothing does", async () => {
    await enableMount(client, "going", "pki", {});
    await writePolicy(client, "going", 'path "x" { capabilities = ["read"] }');
    for (const _ of ["there", "gone"]) {
      await disableMount(client, "going");
      await deletePolicy(client, "going");
      expect((await listMounts(client)).has("going")).toBe(false);
      expect(await readPolicy(client, "going")).toBeUndefined();
    }
  });
});

describe("readCapabilities()", () => {
  test("returns the token's capabilities on each path", async () => {
    expect([...(await readCapabilities(client, ["a", "b/c"]))]).toEqual([
      ["a", ["root"]],
      ["b/c", ["root"]],
    ]);
  });
});
