import { describe, expect, test } from "bun:test";
import { hostRoles } from "../../lib/cluster/cluster.ts";
import { ApiError } from "./api.ts";
import { driftingCluster, undo } from "./drifting.ts";
import { storedTokens } from "./objects.ts";

const { admin, id, repair, faults } = await driftingCluster();
const secretNames = await admin.list(`${id}/secrets`);

async function values(): Promise<Record<string, unknown>> {
  const read = secretNames.map(async (name) => [name, await admin.find(`${id}/secrets/${name}`)] as const);
  return Object.fromEntries(await Promise.all(read));
}

async function isAlive(token: unknown): Promise<boolean> {
  try {
    return (await admin.as(String(token)).read("auth/token/lookup-self")) !== undefined;
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) return false;
    throw error;
  }
}

describe("the secrets of a cluster", () => {
  test("are six", () => {
    expect(secretNames).toEqual([
      "encryption-config",
      ...["all", "etcd", "master", "worker"].map((role) => `init_token_${role}`),
      "service-accounts",
    ]);
  });

  test("stay the same in runs that repair other things", async () => {
    const before = await values();
    for (const path of [`sys/policies/acl/${id}/master`, `auth/token/roles/${id}-all`])
      await admin.remove(path);
    await repair("setup-mounts");
    expect(await repair("write-roles")).toHaveLength(2);
    expect(await values()).toEqual(before);
  });

  test.each(["encryption-config", "service-accounts"])(
    "%s is made again when it is gone",
    async (name) => {
      const before = await values();
      await admin.remove(`${id}/secrets/${name}`);
      expect(await repair("write-roles")).toEqual([`${id}/secrets/${name}`]);
      expect(await faults()).toEqual([]);
      const after = await values();
      expect(after[name]).not.toEqual(before[name]);
      expect({ ...after, [name]: 0 }).toEqual({ ...before, [name]: 0 });
    },
    20_000,
  );

  test("with other values or more fields are kept", async () => {
    const path = `${id}/secrets/encryption-config`;
    const { content } = await admin.find(path);
    await using _ = undo(() => admin.write(path, { content }));
    await admin.write(path, { content: "mine", beside: "it" });
    expect(await repair("write-roles")).toEqual([]);
    expect(await admin.find(path)).toEqual({ content: "mine", beside: "it" });
  });

  test.each([
    ["encryption-config", "content"],
    ["init_token_all", "init_token"],
  ])("stop the run if %s lacks its %s, and are kept", async (name, field) => {
    const path = `${id}/secrets/${name}`;
    const policy = `sys/policies/acl/${id}/etcd`;
    const before = await admin.find(path);
    await using _ = undo(() => admin.write(path, before));
    await admin.write(path, { theirs: "x" });
    await admin.remove(policy);
    await expect(repair("write-roles")).rejects.toThrow(`secret ${path} lacks its field ${field}`);
    expect(await admin.find(path)).toEqual({ theirs: "x" });
    expect(await admin.read(policy)).toBeUndefined();
    await admin.write(path, before);
    expect(await repair("write-roles")).toEqual([policy]);
  });
});

describe("an init token", () => {
  /** Replaces an init token by another. */
  const replaced = async (token: unknown) => {
    if (await isAlive(token)) await admin.write("auth/token/revoke", { token });
    await repair("write-roles");
  };

  test.each(hostRoles)("of %s that was revoked is replaced by one with a new, lasting id", async (role) => {
    const path = `${id}/secrets/init_token_${role}`;
    const { [role]: token, ...others } = await storedTokens(admin, id);
    await admin.write(path, { init_token: token, beside: "it" });
    await admin.write("auth/token/revoke", { token });
    expect(await isAlive(token)).toBe(false);
    expect(await repair("write-roles")).toEqual([path, "auth/token/create-orphan"]);
    const { [role]: other, ...rest } = await storedTokens(admin, id);
    expect(other).toMatch(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
    expect(other).not.toBe(token);
    expect([await isAlive(token), await isAlive(other)]).toEqual([false, true]);
    expect(rest).toEqual(others);
    expect((await admin.find(path)).beside).toBe("it");
    await admin.write(path, { init_token: other });
    expect(await faults()).toEqual([]);
    expect(await repair("write-roles")).toEqual([]);
  });

  test("whose secret was removed is replaced by another", async () => {
    const before = await storedTokens(admin, id);
    await admin.remove(`${id}/secrets/init_token_etcd`);
    expect(await repair("write-roles")).toEqual([
      `${id}/secrets/init_token_etcd`,
      "auth/token/create-orphan",
    ]);
    const after = await storedTokens(admin, id);
    expect(after.etcd).not.toBe(before.etcd);
    expect(after.etcd).toMatch(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
    expect({ ...after, etcd: 0 }).toEqual({ ...before, etcd: 0 });
    expect(await faults()).toEqual([]);
  });

  test("that can't be renewed does not stop the run", async () => {
    const { worker: token } = await storedTokens(admin, id);
    await admin.write("auth/token/revoke", { token });
    const policies = [`${id}/worker-creator`];
    await using _ = undo(() => replaced(token));
    await admin.write("auth/token/create-orphan", { id: token, policies, renewable: false, ttl: "1h" });
    expect(await repair("write-roles")).toEqual([]);
  });

  test("with other policies stops the run before it changes anything", async () => {
    const { worker: token } = await storedTokens(admin, id);
    await admin.write("auth/token/revoke", { token });
    await using _ = undo(() => replaced(token));
    await admin.write("auth/token/create-orphan", { id: token, policies: [`${id}/worker`] });
    await admin.remove(`sys/policies/acl/${id}/etcd`);
    await expect(repair("write-roles")).rejects.toThrow(
      `the init token of ${id}/secrets/init_token_worker holds the policies default, ${id}/worker, not ${id}/worker-creator`,
    );
    expect(await admin.read(`sys/policies/acl/${id}/etcd`)).toBeUndefined();
    await admin.write("auth/token/revoke", { token });
    expect(await repair("write-roles")).toEqual([
      `sys/policies/acl/${id}/etcd`,
      `${id}/secrets/init_token_worker`,
      "auth/token/create-orphan",
    ]);
    expect(await faults()).toEqual([]);
  });
});
