import { describe, expect, test } from "bun:test";
import { type Cluster, defineCluster } from "../../lib/cluster/cluster.ts";
import { planTeardown } from "../../lib/cluster/teardown.ts";
import type { VaultClient } from "../../lib/vault/client.ts";
import { devServer } from "../support/dev-server.ts";
import { type Fault, movedClock, startRelay } from "../support/relay.ts";
import { api, fields } from "./api.ts";
import { clusterFile, exampleFile } from "./file.ts";
import { storedTokens } from "./objects.ts";
import { clientOf, makeMounts, prepareRoles, run, storeServiceAccountKey } from "./run.ts";
import { readWholeServer } from "./whole-server.ts";

const { server } = await devServer();
const admin = api(server.address, server.rootToken);
const client = clientOf(server.address, server.rootToken);
// Every set-up raises it, and nothing lowers it.
await admin.write("sys/auth/token/tune", { max_lease_ttl: "157680000s" });

/** A whole cluster without CAs, which take long to make. */
async function makeCluster(id: string): Promise<Cluster> {
  const cluster = defineCluster(id);
  await prepareRoles(admin, cluster);
  await run("write-roles", client, cluster);
  return cluster;
}

/** Makes a host token like a host. Returns its accessor. */
async function makeHostToken({ id }: Cluster, role: string): Promise<string> {
  const init = (await storedTokens(admin, id))[role] ?? "";
  const { auth } = await admin.as(init).write(`auth/token/create/${id}-${role}`, {});
  return String(fields(auth).accessor);
}

/** Plans and applies a teardown. Returns what was removed, and how many host tokens were revoked. */
async function tearDown(by: VaultClient, cluster: Cluster, revokeHosts = false) {
  const removed: string[] = [];
  let revoked = 0;
  const teardown = await planTeardown(by, cluster, () => {});
  await teardown.apply({
    revokeHosts,
    onRemoved: ({ kind, path }) => removed.push(`${kind} ${path}`),
    onRevoked: (count) => {
      revoked = count;
    },
    onProgress: () => {},
  });
  return { teardown, removed, revoked };
}

describe("a teardown", () => {
  test("leaves the server as it was before set-up, even neighbours with similar names", async () => {
    for (const id of ["demo-2", "demo-worker", "dem"]) {
      const neighbour = await makeCluster(id);
      for (const role of ["etcd", "worker"]) await makeHostToken(neighbour, role);
    }
    // An admin's own objects at paths that look like the cluster's.
    await admin.write("sys/mounts/demo/pki/more", { type: "pki" });
    await admin.write("sys/mounts/demo/secrets-2", { type: "kv" });
    await admin.write("sys/policies/acl/demo/more", { policy: 'path "x" { capabilities = ["read"] }' });
    await admin.write("auth/token/roles/demo-more", { allowed_policies: ["demo/worker"] });
    await admin.write("auth/token/create/demo-more", { policies: ["demo/worker"] });
    const before = await readWholeServer(admin);

    const cluster = defineCluster("demo");
    await run("setup-mounts", client, cluster);
    await storeServiceAccountKey(admin, cluster);
    await run("write-roles", client, cluster);
    for (const role of ["etcd", "worker", "worker"]) await makeHostToken(cluster, role);
    expect(await readWholeServer(admin)).not.toEqual(before);

    const { teardown, removed, revoked } = await tearDown(client, cluster, true);
    expect(await readWholeServer(admin)).toEqual(before);
    expect(removed).toHaveLength(20);
    expect(revoked).toBe(3);
    expect(teardown).toMatchObject({
      kept: [],
      hostTokens: { "demo-etcd": 1, "demo-worker": 2 },
      otherTokens: 1,
    });
  }, 60_000);

  test("finds nothing and writes nothing for a missing cluster", async () => {
    const relay = startRelay(server.address);
    const { teardown, removed } = await tearDown(
      clientOf(relay.address, server.rootToken),
      defineCluster("no"),
    );
    expect({ ...teardown, removed }).toMatchObject({ removals: [], kept: [], hostTokens: {}, removed: [] });
    expect(new Set(relay.writes().map(({ path }) => path))).toEqual(new Set(["auth/token/lookup-accessor"]));
    await relay[Symbol.asyncDispose]();
  });

  test("removes in the reverse of set-up's order, init tokens first and mounts last", async () => {
    const { removed } = await tearDown(client, await makeCluster("order"));
    const kinds = removed.map((it) => it.replace(/ \S+$/, ""));
    expect(kinds.filter((kind, i) => kind !== kinds[i - 1])).toEqual([
      "init token",
      "token role",
      "policy",
      "mount",
    ]);
    expect(removed.slice(-5)).toEqual([
      "mount order/secrets",
      "mount order/pki/k8s-api-proxy",
      "mount order/pki/k8s",
      "mount order/pki/etcd-overlay",
      "mount order/pki/etcd-k8s",
    ]);
  });

  test("keeps host tokens unless it has to revoke them, and finds them in a later run", async () => {
    const cluster = await makeCluster("hosts");
    const accessors = [await makeHostToken(cluster, "all"), await makeHostToken(cluster, "master")];
    expect((await tearDown(client, cluster)).revoked).toBe(0);
    expect(await admin.list("auth/token/accessors")).toEqual(expect.arrayContaining(accessors));

    const again = await tearDown(client, cluster, true);
    expect(again).toMatchObject({ removed: [], revoked: 2 });
    expect(again.teardown.hostTokens).toEqual({ "hosts-all": 1, "hosts-master": 1 });
    const left = await admin.list("auth/token/accessors");
    expect(left.filter((accessor) => accessors.includes(accessor))).toEqual([]);
    expect((await tearDown(client, cluster, true)).revoked).toBe(0);
  });

  test("revokes host tokens that were made after it was planned", async () => {
    const cluster = await makeCluster("late");
    const teardown = await planTeardown(client, cluster, () => {});
    const accessor = await makeHostToken(cluster, "worker");
    const counts: number[] = [];
    const onRevoked = (count: number) => counts.push(count);
    await teardown.apply({ revokeHosts: true, onRemoved() {}, onRevoked, onProgress() {} });
    expect(counts).toEqual([1]);
    expect(await admin.list("auth/token/accessors")).not.toContain(accessor);
  });

  test("skips accessors without a token, and tokens that expire meanwhile", async () => {
    const cluster = await makeCluster("left-over");
    const accessors = [await makeHostToken(cluster, "etcd"), await makeHostToken(cluster, "worker")];
    // Vault 1.21 answers like this, even to a root token.
    const answers: Record<string, Response> = {
      "auth/token/lookup-accessor": Response.json(
        { errors: ["1 error occurred:\n\t* permission denied\n\n"] },
        { status: 403 },
      ),
      "auth/token/revoke-accessor": Response.json({ errors: ["token not found"] }, { status: 400 }),
    };
    const played = new Set<string>();
    const relay = startRelay(server.address, ({ path }) => {
      if (played.has(path)) return undefined;
      played.add(path);
      return answers[path];
    });
    const { removed } = await tearDown(clientOf(relay.address, server.rootToken), cluster, true);
    await relay[Symbol.asyncDispose]();
    expect(removed).toHaveLength(20);
    await tearDown(client, cluster, true);
    const left = await admin.list("auth/token/accessors");
    expect(left.filter((accessor) => accessors.includes(accessor))).toEqual([]);
  });

  test("accepts that another teardown has removed something meanwhile", async () => {
    const cluster = await makeCluster("beside");
    const mount = "beside/pki/k8s";
    let isOn = false;
    const relay = startRelay(server.address, async ({ path }) => {
      if (isOn && path === `${mount}/issuers`) await admin.remove(`sys/mounts/${mount}`);
      return undefined;
    });
    const teardown = await planTeardown(clientOf(relay.address, server.rootToken), cluster, () => {});
    isOn = true;
    await teardown.apply({ revokeHosts: false, onRemoved() {}, onProgress() {} });
    await relay[Symbol.asyncDispose]();
    const mounts = Object.keys(await admin.find("sys/mounts"));
    expect(mounts.filter((path) => path.startsWith("beside/"))).toEqual([]);
  });

  test("knows the roles and secrets of a stored file as set-up's, if the file can be read", async () => {
    const before = await readWholeServer(admin);
    const cluster = defineCluster("filed");
    const file = clusterFile(exampleFile.replace('"demo"', '"filed"'));
    await prepareRoles(admin, cluster);
    await run("write-roles", client, cluster, { file });
    const others = async () => {
      const { removals } = await planTeardown(client, cluster, () => {});
      const contents = removals.map((it) => it.contents ?? {});
      return contents.reduce(
        (sum, { otherRoles = 0, otherSecrets = 0 }) => sum + otherRoles + otherSecrets,
        0,
      );
    };
    expect(await others()).toBe(0);
    await admin.write("filed/secrets/cluster-file-roles", { pki_roles: "not a table" });
    expect(await others()).toBe(1);
    await tearDown(client, cluster);
    expect(await readWholeServer(admin)).toEqual(before);
  });

  test("counts what is lost with each mount", async () => {
    const cluster = await makeCluster("counts");
    const issue = async (ttl: string) => {
      const { data } = await admin.write("counts/pki/k8s/issue/hand", { common_name: "x.example", ttl });
      return String(fields(data).serial_number);
    };
    await admin.write("counts/pki/k8s/root/generate/internal", { common_name: "ca", ttl: "72h" });
    await admin.write("counts/pki/k8s/roles/hand", { allow_any_name: true });
    await issue("1h");
    await issue("2h");
    await admin.write("counts/pki/k8s/revoke", { serial_number: await issue("1h") });
    const past = await issue("1s");
    for (const name of ["mine", "folder/one", "folder/two"])
      await admin.write(`counts/secrets/${name}`, { a: "b" });
    const { certificate } = await admin.find(`counts/pki/k8s/cert/${past}`);
    expect(certificate).toBeString();
    await Bun.sleep(1100);

    const { removals } = await planTeardown(client, cluster, () => {});
    const contents = new Map(removals.map(({ resource, contents }) => [resource.path, contents]));
    expect(contents.get("counts/pki/k8s")).toEqual({
      unexpiredCertificates: 2,
      storedCertificates: 3,
      issuers: 1,
      caKeys: 1,
      otherRoles: 1,
    });
    expect(contents.get("counts/pki/etcd-k8s")).toEqual({
      unexpiredCertificates: 0,
      storedCertificates: 0,
      issuers: 0,
      caKeys: 0,
      otherRoles: 0,
    });
    expect(contents.get("counts/secrets")).toEqual({ secrets: 7, otherSecrets: 1, folders: 1 });
    expect(contents.get("counts/worker")).toBeUndefined();
    await tearDown(client, cluster);
  });
});

describe("a teardown counts a certificate as unexpired", () => {
  test.each([
    ["if it has not expired by the server's clock", -86_400_000, 2],
    ["if it has not expired by this host's clock", 86_400_000, 1],
  ])("%s", async (_, aheadMs, unexpired) => {
    const id = `clock-${unexpired}`;
    const cluster = await makeCluster(id);
    const mount = `${id}/pki/k8s`;
    await admin.write(`${mount}/root/generate/internal`, { common_name: "ca", key_type: "ec", ttl: "72h" });
    await admin.write(`${mount}/roles/hand`, { allow_any_name: true });
    for (const ttl of ["1h", "1s"])
      await admin.write(`${mount}/issue/hand`, { common_name: "x.example", ttl });
    await Bun.sleep(2100);
    const clock = movedClock(() => aheadMs);
    await using relay = startRelay(server.address, clock);
    const { removals } = await planTeardown(clientOf(relay.address, server.rootToken), cluster, () => {});
    const contents = removals.find(({ resource }) => resource.path === mount)?.contents;
    expect(contents).toMatchObject({ unexpiredCertificates: unexpired, storedCertificates: 2 });
    await tearDown(client, cluster);
  });
});

describe("a teardown keeps, and reports,", () => {
  test("a mount of another type, and removes the rest", async () => {
    const cluster = await makeCluster("types");
    for (const path of ["types/pki/k8s", "types/secrets"]) {
      await admin.remove(`sys/mounts/${path}`);
      await admin.write(`sys/mounts/${path}`, { type: "kv", options: { version: "2" } });
    }
    const { teardown, removed } = await tearDown(client, cluster);
    expect(teardown.kept.map(({ resource, why }) => [resource.path, why])).toEqual([
      ["types/secrets", "mount types/secrets is of type kv version 2, but has to be generic (kv version 1)"],
      ["types/pki/k8s", "mount types/pki/k8s is of type kv version 2, but has to be pki"],
    ]);
    // The init tokens stay, since their ids are gone.
    expect(teardown.otherTokens).toBe(4);
    expect(removed).toHaveLength(4 + 7 + 3);
    const mounts = Object.keys(await admin.find("sys/mounts")).filter((path) => path.startsWith("types/"));
    expect(mounts.sort()).toEqual(["types/pki/k8s/", "types/secrets/"]);
  });

  test("a mount above the cluster's", async () => {
    await admin.write("sys/mounts/above", { type: "kv" });
    await admin.write("above/secrets/init_token_worker", { init_token: server.rootToken });
    const { teardown, removed } = await tearDown(client, defineCluster("above"));
    expect(removed).toEqual([]);
    expect(teardown.kept[0]?.why).toBe("mount above is in the way of above/secrets");
    expect(await admin.read("above/secrets/init_token_worker")).toBeDefined();
  });

  test("policies that it shares with a cluster whose id differs only in a capital", async () => {
    const cluster = await makeCluster("Case");
    const before = await readWholeServer(admin);
    await makeMounts(admin, defineCluster("case"));
    const { teardown, removed } = await tearDown(client, cluster);
    const kept = new Set(teardown.kept.map(({ why }) => why));
    expect(kept).toEqual(
      new Set(["clusters Case and case would share their policies, since policy names have no capitals"]),
    );
    expect(teardown.kept.map(({ resource }) => resource.path).sort()).toEqual(
      Object.keys(before.policies).filter((name) => name.startsWith("case/")),
    );
    expect(removed).toHaveLength(4 + 4 + 5);
    expect((await readWholeServer(admin)).policies).toEqual(before.policies);
    await tearDown(client, defineCluster("case"));
  });

  test("an init token with more policies, or one that the run uses", async () => {
    const cluster = await makeCluster("own");
    await admin.write("sys/policies/acl/everything", {
      policy: 'path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }',
    });
    const ids = ["own-of-the-run", "of-more"];
    for (const [i, role] of ["worker", "etcd"].entries()) {
      const policies = ["everything", `own/${role}-creator`];
      await admin.write("auth/token/create-orphan", { id: ids[i], policies });
      await admin.write(`own/secrets/init_token_${role}`, { init_token: ids[i] });
    }
    await admin.write("own/secrets/init_token_all", { other: "x" });
    const { teardown } = await tearDown(clientOf(server.address, ids[0] ?? ""), cluster);
    expect(teardown.kept.map(({ resource, why }) => [resource.path, why])).toEqual([
      ["own-all", "secret own/secrets/init_token_all lacks its field init_token"],
      ["own-worker", "it is the token that this run uses"],
      ["own-etcd", "the init token of own/secrets/init_token_etcd also holds other policies: everything"],
    ]);
    for (const id of ids) expect(await admin.as(id).read("auth/token/lookup-self")).toBeDefined();
  });

  test("the token that the run uses, even if a token role of the cluster made it", async () => {
    const cluster = await makeCluster("self");
    await admin.write("sys/policies/acl/self/worker", {
      policy: 'path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }',
    });
    const init = (await storedTokens(admin, "self")).worker ?? "";
    const { auth } = await admin.as(init).write("auth/token/create/self-worker", {});
    const own = String(fields(auth).client_token);
    const teardown = await planTeardown(clientOf(server.address, own), cluster, () => {});
    expect(teardown.hostTokens).toEqual({});
    await tearDown(client, cluster, true);
  });
});

describe.each(["before it acts", "after it acted"] as const)("a teardown whose server fails %s", (way) => {
  const reads = ["auth/token/lookup-accessor", "sys/capabilities-self"];
  const failed = () => Response.json({ errors: ["Vault is sealed"] }, { status: 503 });

  /** @returns whether it failed, at the write after the first `count` */
  async function interrupt(cluster: Cluster, count: number): Promise<boolean> {
    let writes = 0;
    const fault: Fault = async ({ method, path }, _, pass) => {
      if (method === "GET" || reads.includes(path)) return writes > count ? failed() : undefined;
      if (++writes <= count) return undefined;
      if (way === "after it acted") await pass();
      return failed();
    };
    const relay = startRelay(server.address, fault);
    try {
      await tearDown(clientOf(relay.address, server.rootToken), cluster, true);
      return false;
    } catch (error) {
      expect(String(error)).toContain("HTTP 503, Vault is sealed");
      return true;
    } finally {
      await relay[Symbol.asyncDispose]();
    }
  }

  test("at any of its writes is completed by the next run", async () => {
    const before = await readWholeServer(admin);
    let count = 0;
    for (; ; count++) {
      const cluster = await makeCluster(`cut-${count}`);
      for (const role of ["etcd", "worker"]) await makeHostToken(cluster, role);
      if (!(await interrupt(cluster, count))) break;
      await tearDown(client, cluster, true);
      expect(await readWholeServer(admin)).toEqual(before);
    }
    expect(await readWholeServer(admin)).toEqual(before);
    expect(count).toBe(22);
  }, 120_000);
});

test("a mount that the server has begun to remove is removed without being counted", async () => {
  const cluster = await makeCluster("tainted");
  const words = 'no handler for route "x". route entry is tainted.';
  const relay = startRelay(server.address, ({ path }) =>
    /^tainted\/(pki\/k8s\/certs|secrets)/.test(path)
      ? Response.json({ errors: [words] }, { status: 404 })
      : undefined,
  );
  const { teardown, removed } = await tearDown(clientOf(relay.address, server.rootToken), cluster);
  await relay[Symbol.asyncDispose]();
  const contents = new Map(teardown.removals.map(({ resource, contents }) => [resource.path, contents]));
  expect(contents.get("tainted/pki/k8s")).toBeUndefined();
  expect(contents.get("tainted/pki/etcd-k8s")).toBeDefined();
  expect(removed).toHaveLength(16);
  expect(Object.keys(await admin.find("sys/mounts")).filter((path) => path.startsWith("tainted/"))).toEqual(
    [],
  );
});
