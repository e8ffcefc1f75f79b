import { describe, expect, test } from "bun:test";
import { type Choices, type Cluster, defineCluster, type HostRole } from "../../lib/cluster/cluster.ts";
import { Failure } from "../../lib/failure.ts";
import { createFromRole } from "../../lib/vault/token.ts";
import { relayedServer } from "../support/dev-server.ts";
import { failureOf } from "../support/failure.ts";
import { api, fields } from "./api.ts";
import { goldenTokens, readObjects, storedTokens, wantedObjects } from "./objects.ts";
import { clientOf, prepareRoles, renewals, run } from "./run.ts";

const { server, relay } = await relayedServer();
const admin = api(server.address, server.rootToken);
const client = clientOf(relay.address, server.rootToken);
const writes = () => relay.writes().map(({ path }) => path);

/** A cluster with mounts but without roles, for which these init token ids are chosen. */
async function prepared(id: string, initTokens: Cluster["initTokens"]): Promise<Cluster> {
  const cluster = defineCluster(id, { initTokens });
  await prepareRoles(admin, cluster);
  await admin.write("sys/auth/token/tune", { max_lease_ttl: "157680000s" });
  return cluster;
}

/** The choices of a run with `--init-token-*` flags. */
function asking(cluster: Cluster, initTokens: Cluster["initTokens"]): Cluster {
  return defineCluster(cluster.id, { initTokens });
}

describe("init tokens whose ids are chosen", () => {
  test("are made with these ids, which the next run accepts", async () => {
    const cluster = await prepared("chosen", goldenTokens);
    await run("write-roles", client, cluster);
    const wanted = wantedObjects("chosen", goldenTokens);
    expect(await readObjects(admin, "chosen", wanted)).toEqual(wanted);
    relay.reset();
    expect(await run("write-roles", client, cluster)).toEqual([]);
    expect(writes()).toEqual(renewals);
  });

  test("are kept by a run that chooses none or some of them", async () => {
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
      expect(failure.kind).toBe("config");
      expect(failure.message).toBe(
        `--init-token-${role} differs from the init token that is stored at chosen/secrets/init_token_${role}`,
      );
      expect(failure.hint).toBe(
        `nothing was changed; leave the flag out to keep the stored one, or add --rotate-init-token ${role} to replace it`,
      );
      expect(writes()).toEqual([]);
      expect(await admin.read("sys/policies/acl/chosen/etcd")).toBeUndefined();
      await run("write-roles", client, defineCluster("chosen"));
    },
  );

  test("that already are tokens are used", async () => {
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

  test("that are tokens with other policies stop the run before it writes", async () => {
    const cluster = await prepared("foreign", { worker: "of-another" });
    await admin.write("auth/token/create-orphan", { id: "of-another", policies: ["another"] });
    relay.reset();
    const failure = await run("write-roles", client, cluster).catch((error: unknown) => error);
    expect(failure).toMatchObject({ kind: "config" });
    expect(String(failure)).not.toContain("of-another");
    expect(writes()).toEqual([]);
    expect(await admin.list("foreign/secrets")).toEqual(["service-accounts"]);
  });
});

/** Whether the server knows each of these tokens. */
async function areAlive(...ids: readonly unknown[]): Promise<readonly boolean[]> {
  return await Promise.all(
    ids.map((token) =>
      admin.write("auth/token/lookup", { token }).then(
        () => true,
        () => false,
      ),
    ),
  );
}

describe("an init token whose chosen id the server no longer knows", () => {
  const id = "gone";
  const path = `${id}/secrets/init_token_worker`;

  test("stops a run that chooses the same id again, before it writes", async () => {
    await run("write-roles", client, await prepared(id, { worker: "leaked" }));
    await admin.write("auth/token/revoke", { token: "leaked" });
    relay.reset();
    const again = run("write-roles", client, defineCluster(id, { initTokens: { worker: "leaked" } }));
    const failure = await failureOf(() => again);
    expect(failure.kind).toBe("config");
    expect(failure.message).toBe(
      "--init-token-worker is the id of a token that the server no longer knows: it expired or was revoked",
    );
    expect(writes()).toEqual([]);
    expect(await areAlive("leaked")).toEqual([false]);
  });

  test("is replaced by one with another chosen id, or by a random one", async () => {
    const asked = asking(defineCluster(id), { worker: "another" });
    const changes = [`update init token's id ${path}`, "create init token gone-worker"];
    expect(await run("write-roles", client, asked)).toEqual(changes);
    expect(await admin.find(path)).toEqual({ init_token: "another" });
    expect(await areAlive("leaked", "another")).toEqual([false, true]);
    expect(await run("write-roles", client, asked)).toEqual([]);

    await admin.write("auth/token/revoke", { token: "another" });
    expect(await run("write-roles", client, defineCluster(id))).toEqual(changes);
    const { init_token } = await admin.find(path);
    expect(await areAlive("leaked", "another", init_token)).toEqual([false, false, true]);
  });
});

describe("an init token that is rotated", () => {
  const id = "rotated";
  const path = `${id}/secrets/init_token_worker`;
  const rotating = (chosen: Choices = {}) => defineCluster(id, { ...chosen, rotatedInitTokens: ["worker"] });

  test("is revoked and replaced, while hosts keep their tokens", async () => {
    await run("write-roles", client, await prepared(id, {}));
    const { worker: old, ...others } = await storedTokens(admin, id);
    const host = await createFromRole(client, `${id}-worker`, String(old));
    expect(await run("write-roles", client, rotating())).toEqual([
      "delete init token rotated-worker",
      `update init token's id ${path}`,
      "create init token rotated-worker",
    ]);
    const { worker, ...rest } = await storedTokens(admin, id);
    expect(rest).toEqual(others);
    expect(await areAlive(old, worker, host.token)).toEqual([false, true, true]);
    expect((await createFromRole(client, `${id}-worker`, String(worker))).policies).toContain(`${id}/worker`);
    const failure = await failureOf(() => createFromRole(client, `${id}-worker`, String(old)));
    expect(failure.kind).toBe("permission");
    expect(await run("write-roles", client, defineCluster(id))).toEqual([]);
  });

  test("gets the chosen id, but never its old one", async () => {
    await run("write-roles", client, rotating({ initTokens: { worker: "mine" } }));
    expect(await admin.find(path)).toEqual({ init_token: "mine" });
    expect(await areAlive("mine")).toEqual([true]);
    relay.reset();
    const failure = await failureOf(() =>
      run("write-roles", client, rotating({ initTokens: { worker: "mine" } })),
    );
    expect(failure.message).toBe(
      "--init-token-worker is the id that --rotate-init-token worker has to replace",
    );
    expect(writes()).toEqual([]);
    expect(await areAlive("mine")).toEqual([true]);
  });

  test("may be missing or unknown", async () => {
    await admin.write("auth/token/revoke", { token: "mine" });
    expect(await run("write-roles", client, rotating())).toEqual([
      `update init token's id ${path}`,
      "create init token rotated-worker",
    ]);
    const { worker: old } = await storedTokens(admin, id);
    await admin.remove(path);
    expect(await run("write-roles", client, rotating())).toEqual([
      `create init token's id ${path}`,
      "create init token rotated-worker",
    ]);
    // Its id was lost with the secret, so nothing shows that it belongs to the cluster.
    expect(await areAlive(old)).toEqual([true]);
  });

  test("may hold other policies, with which another run would be refused", async () => {
    await admin.write("auth/token/create-orphan", { id: "other", policies: ["another"] });
    await admin.write(path, { init_token: "other" });
    const failure = await failureOf(() => run("write-roles", client, defineCluster(id)));
    expect(failure.hint).toBe("nothing was changed; --rotate-init-token worker replaces it");
    await run("write-roles", client, rotating());
    expect(await areAlive("other")).toEqual([false]);
    expect(await run("write-roles", client, defineCluster(id))).toEqual([]);
  });
});

test("an init token that is bound to other addresses does not count as revoked", async () => {
  const cluster = await prepared("bound", {});
  const role = {
    token_bound_cidrs: "192.0.2.1/32",
    allowed_policies: ["bound/worker-creator"],
    orphan: true,
  };
  await admin.write("auth/token/roles/elsewhere", role);
  const made = await admin.write("auth/token/create/elsewhere", { policies: ["bound/worker-creator"] });
  const init_token = String(fields(made.auth).client_token);
  await admin.write("bound/secrets/init_token_worker", { init_token });
  relay.reset();
  const failure = await failureOf(() => run("write-roles", client, cluster));
  expect(failure.kind).toBe("permission");
  expect(failure.hint).toEndWith("or it is bound to other addresses");
  expect(writes()).toEqual([]);
  expect(await admin.find("bound/secrets/init_token_worker")).toEqual({ init_token });
});

describe("init tokens whose ids are not chosen", () => {
  test("have different random ones", async () => {
    const ids: string[] = [];
    for (const id of ["one", "two"]) {
      await run("write-roles", client, await prepared(`random-${id}`, {}));
      ids.push(...Object.values(await storedTokens(admin, `random-${id}`)));
    }
    expect(new Set(ids).size).toBe(8);
    for (const id of ids) expect(id).toMatch(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
  });
});
