import { describe, expect, test } from "bun:test";
import { type Cluster, defineCluster } from "../../lib/cluster/cluster.ts";
import { pkiMountNames } from "../../lib/cluster/mount-names.ts";
import { devServer } from "../support/dev-server.ts";
import { type Fault, isWrite, startRelay } from "../support/relay.ts";
import { api, fields } from "./api.ts";
import { readObjects, storedTokens, wantedObjects } from "./objects.ts";
import { clientOf, type Half, makeMounts, prepareRoles, run, storeServiceAccountKey } from "./run.ts";

const { server } = await devServer();
const admin = api(server.address, server.rootToken);
const client = clientOf(server.address, server.rootToken);
const sealed = () => Response.json({ errors: ["Vault is sealed"] }, { status: 503 });

/** How a server fails at a write: before it acts on it, or after it, so that the answer is lost. */
const ways = ["before it acts", "after it acted"] as const;
type Way = (typeof ways)[number];
const signs: Readonly<Record<Way, string>> = {
  "before it acts": "HTTP 503, Vault is sealed",
  "after it acted": "broke off the connection",
};

/** The number of writes that succeed before the server fails, or the path of the write at which it fails. */
type Where = number | string;

/**
 * Runs one half against a server that fails at one of its writes and stays down.
 *
 * @returns whether it failed
 */
async function interrupt(half: Half, cluster: Cluster, where: Where, way: Way): Promise<boolean> {
  let [writes, after] = [0, 0];
  let hasFailed = false;
  const fault: Fault = async (request, _number, pass) => {
    if (isWrite(request)) {
      writes++;
      if (hasFailed) after++;
    }
    if (hasFailed) return sealed();
    hasFailed = isWrite(request) && (typeof where === "string" ? request.path === where : writes > where);
    if (!hasFailed) return undefined;
    if (way === "before it acts") return sealed();
    await pass();
    // Like a crash: every connection ends, and no new one is accepted.
    void relay[Symbol.asyncDispose]();
    return sealed();
  };
  const relay = startRelay(server.address, fault);
  try {
    await run(half, clientOf(relay.address, server.rootToken), cluster);
    return false;
  } catch (error) {
    expect(String(error)).toContain(signs[way]);
    return true;
  } finally {
    await relay[Symbol.asyncDispose]();
    // Nothing is tried after a failure.
    expect(after).toBe(0);
  }
}

/** Expects the whole cluster of the golden file, with one issuer in each mount. */
async function expectWhole({ id }: Cluster): Promise<void> {
  const wanted = wantedObjects(id, await storedTokens(admin, id));
  expect(await readObjects(admin, id, wanted)).toEqual(wanted);
}

describe.each(ways)("a set-up whose server fails %s", (way) => {
  const name = way.split(" ")[0];

  test("at any write of setup-mounts is completed by the next run, with one CA in each mount", async () => {
    let count = 0;
    for (; ; count++) {
      const cluster = defineCluster(`mounts-${name}-${count}`);
      await admin.write("sys/auth/token/tune", { max_lease_ttl: "system" });
      if (!(await interrupt("setup-mounts", cluster, count, way))) break;
      await run("setup-mounts", client, cluster);
      expect(await run("setup-mounts", client, cluster)).toEqual([]);
      for (const mount of pkiMountNames) {
        expect(await admin.list(`${cluster.id}/pki/${mount}/issuers`)).toHaveLength(1);
      }
      await storeServiceAccountKey(admin, cluster);
      await run("write-roles", client, cluster);
      await expectWhole(cluster);
    }
    expect(count).toBe(10);
  }, 60_000);

  test("at any write of write-roles is completed by the next run, with one init token for each host role", async () => {
    let count = 0;
    for (; ; count++) {
      const cluster = defineCluster(`roles-${name}-${count}`);
      await prepareRoles(admin, cluster);
      if (!(await interrupt("write-roles", cluster, count, way))) break;
      await run("write-roles", client, cluster);
      expect(await run("write-roles", client, cluster)).toEqual([]);
      await expectWhole(cluster);
    }
    expect(count).toBe(31);
    const counts = await initTokenCounts(`roles-${name}-`);
    expect([...counts.values()]).toEqual(Array(4 * 32).fill(1));
  }, 60_000);

  test("at any write of write-roles with chosen init tokens is completed by the same run", async () => {
    let count = 0;
    for (; ; count++) {
      const id = `chosen-${name}-${count}`;
      const initTokens = { etcd: `${id}-e`, master: `${id}-m`, worker: `${id}-w`, all: `${id}-a` };
      const cluster = defineCluster(id, { initTokens });
      await prepareRoles(admin, cluster);
      // The writes before it are covered above.
      await run("write-roles", client, defineCluster(id));
      for (const token of Object.values(await storedTokens(admin, id))) {
        await admin.write("auth/token/revoke", { token });
      }
      if (!(await interrupt("write-roles", cluster, count, way))) break;
      await run("write-roles", client, cluster);
      expect(await run("write-roles", client, cluster)).toEqual([]);
      expect(await storedTokens(admin, id)).toEqual(initTokens);
      await expectWhole(cluster);
    }
    expect(count).toBe(8);
    const counts = await initTokenCounts(`chosen-${name}-`);
    expect([...counts.values()]).toEqual(Array(4 * 9).fill(1));
  }, 60_000);

  test("at any write of a rotation is completed by the next run, and the old init token is revoked", async () => {
    // The revocation, the id and the token. The renewals after that are sent at the same time.
    for (const count of [0, 1, 2]) {
      const id = `rotated-${name}-${count}`;
      const cluster = defineCluster(id);
      await prepareRoles(admin, cluster);
      await run("write-roles", client, cluster);
      const { worker: old } = await storedTokens(admin, id);
      const rotating = defineCluster(id, { rotatedInitTokens: ["worker"] });
      expect(await interrupt("write-roles", rotating, count, way)).toBe(true);
      await run("write-roles", client, cluster);
      expect(await run("write-roles", client, cluster)).toEqual([]);
      const hasBegun = count > 0 || way === "after it acted";
      expect((await storedTokens(admin, id)).worker === old).toBe(!hasBegun);
      await expectWhole(cluster);
    }
    const counts = await initTokenCounts(`rotated-${name}-`);
    expect([...counts.values()]).toEqual(Array(4 * 3).fill(1));
  }, 60_000);

  test("at the service account key is completed by the next run, which keeps a stored key", async () => {
    const cluster = defineCluster(`key-${name}`);
    const path = `${cluster.id}/secrets/service-accounts`;
    await makeMounts(admin, cluster);
    expect(await interrupt("write-roles", cluster, path, way)).toBe(true);
    const stored = await admin.read(path);
    expect(stored !== undefined).toBe(way === "after it acted");
    await run("write-roles", client, cluster);
    if (stored !== undefined) expect(await admin.find(path)).toEqual(stored);
    await expectWhole(cluster);
  }, 60_000);
});

/** How many tokens hold each init token policy of the clusters whose ids have this beginning. */
async function initTokenCounts(prefix: string): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for (const accessor of await admin.list("auth/token/accessors")) {
    const { data } = await admin.write("auth/token/lookup-accessor", { accessor });
    const { policies } = fields(data);
    for (const policy of Array.isArray(policies) ? policies.map(String) : []) {
      if (policy.startsWith(prefix)) counts.set(policy, (counts.get(policy) ?? 0) + 1);
    }
  }
  return counts;
}
