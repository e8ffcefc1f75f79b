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
  test("gives what a new server has, by path without a slash at its end", async () => {
    const mounts = await listMounts(client);
    expect([...mounts.keys()].sort()).toContainValues(["cubbyhole", "identity", "secret", "sys"]);
    expect(mounts.get("secret")).toMatchObject({ type: "kv", options: { version: "2" } });
    expect(mounts.get("cubbyhole")?.options).toEqual({});
  });
});

describe("enableMount()", () => {
  test("mounts with what it is told", async () => {
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

  test("leaves to the server what it is not told", async () => {
    await enableMount(client, "demo/secrets", "generic", {});
    const mount = (await listMounts(client)).get("demo/secrets");
    expect(mount).toMatchObject({ description: "", defaultLeaseTtlSeconds: 0, maxLeaseTtlSeconds: 0 });
  });

  test("is refused where something is mounted", async () => {
    await enableMount(client, "twice", "pki", {});
    const error = await vaultErrorOf(() => enableMount(client, "twice", "pki", {}));
    expect(error.message).toContain("path is already in use");
  });
});

describe("tuneMount()", () => {
  test("changes what it is told and nothing else", async () => {
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
  test("sets what readAuthMaxLeaseTtl() reads", async () => {
    // The server's own, 32 days.
    expect(await readAuthMaxLeaseTtl(client, "token")).toBe(2_764_800);
    await tuneAuthMaxLeaseTtl(client, "token", 157_680_000);
    expect(await readAuthMaxLeaseTtl(client, "token")).toBe(157_680_000);
  });
});

describe("writePolicy()", () => {
  test("writes what readPolicy() reads, in place of what was there", async () => {
    expect(await readPolicy(client, "demo/etcd")).toBeUndefined();
    for (const capability of ["read", "list"]) {
      const policy = `path "demo/*" {\n  capabilities = ["${capability}"]\n}\n`;
      await writePolicy(client, "demo/etcd", policy);
      expect(await readPolicy(client, "demo/etcd")).toBe(policy);
    }
  });
});

describe("disableMount() and deletePolicy()", () => {
  test("take away what is there, and are content where nothing is", async () => {
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
  test("tells what the token may do on each path", async () => {
    expect([...(await readCapabilities(client, ["a", "b/c"]))]).toEqual([
      ["a", ["root"]],
      ["b/c", ["root"]],
    ]);
  });
});
