import { describe, expect, test } from "bun:test";
import { type Cluster, defineCluster, type HostRole } from "../../lib/cluster/cluster.ts";
import { Failure } from "../../lib/failure.ts";
import { relayedServer } from "../support/dev-server.ts";
import { api } from "./api.ts";
import { goldenTokens, readObjects, storedTokens, wantedObjects } from "./objects.ts";
import { clientOf, prepareRoles, renewals, run } from "./run.ts";

const { server, relay } = await relayedServer();
const admin = api(server.address, server.rootToken);
const client = clientOf(relay.address, server.rootToken);
const writes = () => relay.writes().map(({ path }) => path);

/** A cluster that stands but for its roles, with init tokens of these ids asked for. */
async function prepared(id: string, initTokens: Cluster["initTokens"]): Promise<Cluster> {
  const cluster = defineCluster(id, { initTokens });
  await prepareRoles(admin, cluster);
  await admin.write("sys/auth/token/tune", { max_lease_ttl: "157680000s" });
  return cluster;
}

/** As a run's `--init-token-*` flags leave them. */
function asking(cluster: Cluster, initTokens: Cluster["initTokens"]): Cluster {
  return defineCluster(cluster.id, { initTokens });
}

describe("init tokens whose ids are chosen", () => {
  test("are made with these ids, and agree with the next run's", async () => {
    const cluster = await prepared("chosen", goldenTokens);
    await run("write-roles", client, cluster);
    const wanted = wantedObjects("chosen", goldenTokens);
    expect(await readObjects(admin, "chosen", wanted)).toEqual(wanted);
    relay.reset();
    expect(await run("write-roles", client, cluster)).toEqual([]);
    expect(writes()).toEqual(renewals);
  });

  test("are kept by a run that chooses none, or some", async () => {
    const cluster = asking(defineCluster("chosen"), {});
    for (const some of [{}, { worker: "w" }]) {
      expect(await run("write-roles", client, asking(cluster, some))).toEqual([]);
    }
    expect(await storedTokens(admin, "chosen")).toEqual(goldenTokens);
  });

  test.each(["etcd", "master", "worker", "all"] as const)(
    "that differ from the stored one of %s stop the run before it writes",
    async (role: HostRole) => {
      const cluster = asking(defineCluster("chosen"), { ...goldenTokens, [role]: "another-secret" });
      await admin.remove("sys/policies/acl/chosen/etcd");
      relay.reset();
      const failure = await run("write-roles", client, cluster).catch((error: unknown) => error);
      if (!(failure instanceof Failure)) throw new Error(`not a failure: ${failure}`);
      expect(failure.exitCode).toBe(78);
      expect(failure.message).toBe(
        `--init-token-${role} differs from the init token that is stored at chosen/secrets/init_token_${role}`,
      );
      expect(failure.hint).toBe(
        "nothing was changed; leave the flag out to keep the stored one, or remove the secret first",
      );
      expect(writes()).toEqual([]);
      expect(await admin.read("sys/policies/acl/chosen/etcd")).toBeUndefined();
      await run("write-roles", client, defineCluster("chosen"));
    },
  );

  test("that are tokens already are taken", async () => {
    const cluster = await prepared("taken", { worker: "there-before" });
    const policies = ["taken/worker-creator"];
    await admin.write("auth/token/create-orphan", { id: "there-before", policies, period: "1h" });
    const done = await run("write-roles", client, cluster);
    expect(done).toContain("create init token's id taken/secrets/init_token_worker");
    expect(done.filter((line) => line.startsWith("create init token taken-"))).toEqual(
      ["etcd", "master", "all"].map((role) => `create init token taken-${role}`),
    );
    expect((await storedTokens(admin, "taken")).worker).toBe("there-before");
    expect(await run("write-roles", client, cluster)).toEqual([]);
  });

  test("that are tokens for something else stop the run before it writes", async () => {
    const cluster = await prepared("foreign", { worker: "of-another" });
    await admin.write("auth/token/create-orphan", { id: "of-another", policies: ["another"] });
    relay.reset();
    const failure = await run("write-roles", client, cluster).catch((error: unknown) => error);
    expect(failure).toMatchObject({ exitCode: 78 });
    expect(String(failure)).not.toContain("of-another");
    expect(writes()).toEqual([]);
    expect(await admin.list("foreign/secrets")).toEqual(["service-accounts"]);
  });
});

describe("init tokens whose ids are not chosen", () => {
  test("have random ones, each its own", async () => {
    const ids: string[] = [];
    for (const id of ["one", "two"]) {
      await run("write-roles", client, await prepared(`random-${id}`, {}));
      ids.push(...Object.values(await storedTokens(admin, `random-${id}`)));
    }
    expect(new Set(ids).size).toBe(8);
    for (const id of ids) expect(id).toMatch(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
  });
});
