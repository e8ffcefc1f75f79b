import { describe, expect, test } from "bun:test";
import { type Cluster, defineCluster } from "../../lib/cluster/cluster.ts";
import { setupPolicy, teardownPolicy } from "../../lib/cluster/needed-policy.ts";
import { type FileChoice, planMounts, planRoles, planSetup } from "../../lib/cluster/setup-plan.ts";
import { planTeardown } from "../../lib/cluster/teardown.ts";
import type { VaultClient } from "../../lib/vault/client.ts";
import { relayedServer } from "../support/dev-server.ts";
import { failureOf } from "../support/failure.ts";
import { api, fields } from "./api.ts";
import { clusterFile, exampleFile } from "./file.ts";
import { loadOriginal } from "./load-original.ts";
import { goldenTokens, originalObjects, storedTokens } from "./objects.ts";
import { clientOf, makeMounts, prepareRoles, storeServiceAccountKey } from "./run.ts";

const { server, relay } = await relayedServer();
const admin = api(server.address, server.rootToken);
const root = clientOf(server.address, server.rootToken);

/** A client whose token has only this policy and the policy `default`. */
async function clientWith(policy: string): Promise<VaultClient> {
  await admin.write("sys/policies/acl/limited", { policy });
  const { auth } = await admin.write("auth/token/create", { policies: ["limited"] });
  return clientOf(relay.address, String(fields(auth).client_token));
}

/** A set-up with only the policy that is printed for it. */
async function setUp(cluster: Cluster, choice: FileChoice = {}): Promise<number> {
  const client = await clientWith(setupPolicy(cluster, ["mounts", "roles"]));
  const { changes, apply } = await planSetup(client, cluster, choice);
  await apply(() => {});
  return changes.length;
}

const fileOf = (id: string, text = exampleFile) => clusterFile(text.replace('"demo"', `"${id}"`));

describe("a token with only the policy that set-up prints", () => {
  test("sets up a new cluster, again, and corrects changes by hand", async () => {
    const cluster = defineCluster("new");
    expect(await setUp(cluster)).toBe(42);
    expect(await setUp(cluster)).toBe(0);
    await admin.write("sys/mounts/new/pki/k8s/tune", { default_lease_ttl: "100h" });
    await admin.write("new/pki/k8s/roles/kubelet", { allow_any_name: true });
    await admin.write("sys/policies/acl/new/worker", { policy: 'path "a" { capabilities = ["read"] }' });
    await admin.write("auth/token/roles/new-worker", { path_suffix: "other" });
    const { worker } = await storedTokens(admin, "new");
    await admin.write("auth/token/revoke", { token: worker });
    await admin.remove("new/secrets/encryption-config");
    await admin.remove("new/secrets/init_token_all");
    expect(await setUp(cluster)).toBeGreaterThan(6);
    expect(await setUp(cluster)).toBe(0);
  }, 60_000);

  test("makes a half-made CA the default issuer of its mount", async () => {
    const cluster = defineCluster("half");
    await prepareRoles(admin, cluster);
    await admin.write("half/pki/k8s/root/generate/internal", { common_name: "half" });
    await admin.write("half/pki/k8s/config/issuers", { default: "" }).catch(() => {});
    await setUp(cluster);
    expect(await setUp(cluster)).toBe(0);
  }, 60_000);

  test("rotates an init token, also to a chosen id", async () => {
    const cluster = defineCluster("rotated");
    await prepareRoles(admin, cluster);
    await setUp(cluster);
    const before = await storedTokens(admin, "rotated");
    const chosen = { initTokens: { etcd: "rotated-etcd-2" }, rotatedInitTokens: ["worker", "etcd"] as const };
    await setUp(defineCluster("rotated", chosen));
    const after = await storedTokens(admin, "rotated");
    expect(after.etcd).toBe("rotated-etcd-2");
    expect([after.worker === before.worker, after.all === before.all]).toEqual([false, true]);
  }, 60_000);

  test("adopts a cluster of the Go tool", async () => {
    await loadOriginal(admin, originalObjects("golden", goldenTokens));
    expect(await setUp(defineCluster("golden"))).toBeGreaterThan(20);
    expect(await setUp(defineCluster("golden"))).toBe(0);
  }, 60_000);

  test("uses a file, runs without it, uses another, and returns to none", async () => {
    const cluster = defineCluster("filed");
    await prepareRoles(admin, cluster);
    await setUp(cluster, { file: fileOf("filed") });
    expect(await setUp(cluster)).toBe(0);
    const other = exampleFile.replace('"ingress"', '"egress"').replace('max_validity_ca = "10y"\n', "");
    await setUp(cluster, { file: fileOf("filed", other) });
    expect(await admin.list("filed/pki/k8s/roles")).not.toContain("ingress");
    await setUp(cluster, { narrow: true });
    expect(await admin.list("filed/pki/k8s/roles")).not.toContain("egress");
    expect(await admin.list("filed/secrets")).not.toContain("cluster-file-roles");
    expect(await setUp(cluster)).toBe(0);
  }, 60_000);

  test("runs one half with the policy of that half", async () => {
    const cluster = defineCluster("halves");
    const mounts = await clientWith(setupPolicy(cluster, ["mounts"]));
    await (await planMounts(mounts, cluster, { file: fileOf("halves") })).apply(() => {});
    await storeServiceAccountKey(admin, cluster);
    expect((await failureOf(() => planRoles(mounts, cluster))).kind).toBe("permission");
    const roles = await clientWith(setupPolicy(cluster, ["roles"]));
    await (await planRoles(roles, cluster, { file: fileOf("halves") })).apply(() => {});
    for (const [plan, half] of [
      [planMounts, "mounts"],
      [planRoles, "roles"],
    ] as const) {
      const client = await clientWith(setupPolicy(cluster, [half]));
      await (await plan(client, cluster, { narrow: true })).apply(() => {});
      expect((await plan(client, cluster)).changes).toEqual([]);
    }
  }, 60_000);

  test("can't set up another cluster", async () => {
    const client = await clientWith(setupPolicy(defineCluster("one"), ["mounts", "roles"]));
    const { kind } = await failureOf(async () => {
      await (await planSetup(client, defineCluster("two"))).apply(() => {});
    });
    expect(kind).toBe("permission");
  });
});

/** Each rule of a policy without one of its capabilities. */
function narrower(
  policy: string,
): ReadonlyArray<readonly [path: string, capability: string, policy: string]> {
  return [...policy.matchAll(/path "(.*)" \{\n {2}capabilities = \[(.*)\]\n\}/g)].flatMap(
    ([rule, path = "", names = ""]) => {
      const all = names.split(", ");
      return all.map((name) => {
        const others = all.filter((it) => it !== name);
        const left = rule.replace(`[${names}]`, `[${others.length === 0 ? '"deny"' : others.join(", ")}]`);
        return [path, name, policy.replace(rule, () => left)] as const;
      });
    },
  );
}

describe("a set-up whose token lacks a right", () => {
  test("changes nothing and names the right", async () => {
    const cluster = defineCluster("lacks");
    const policy = setupPolicy(cluster, ["mounts", "roles"]);
    // Rights on existing things, and rights that a new cluster does not need.
    const unused =
      /^auth\/token\/lookup$|\/tune"?$|config\/issuers$|issuer\/\*$|cluster-file-|roles\/\*$|secrets\/(?!init_token)|pki\/.*\/roles$/;
    let tried = 0;
    for (const [path, capability, left] of narrower(policy)) {
      if (
        unused.test(path) ||
        capability === '"read"' ||
        (path.includes("/secrets/") && capability === '"update"')
      )
        continue;
      if (path.startsWith("auth/token/roles/") && capability === '"update"') continue;
      const client = await clientWith(left);
      relay.reset();
      const failure = await failureOf(async () => (await planSetup(client, cluster)).apply(() => {}));
      expect(relay.writes()).toEqual([]);
      expect([path, failure.kind, failure.message]).toEqual([
        path,
        "permission",
        "the token may not make all changes to cluster lacks",
      ]);
      expect(failure.hint).toBe(
        `nothing was changed; the token needs a policy with the capability ${capability} on ${path}`,
      );
      tried++;
    }
    expect(tried).toBeGreaterThan(20);
    expect(Object.keys(await admin.find("sys/mounts")).filter((it) => it.startsWith("lacks"))).toEqual([]);
  }, 60_000);

  test("reads nothing more after a refused read, and changes nothing", async () => {
    const cluster = defineCluster("blind");
    await makeMounts(admin, cluster);
    for (const [path, capability, left] of narrower(setupPolicy(cluster, ["mounts", "roles"]))) {
      if (capability !== '"read"' || /issuer/.test(path)) continue;
      const client = await clientWith(left);
      relay.reset();
      const failure = await failureOf(async () => (await planSetup(client, cluster)).apply(() => {}));
      expect(relay.writes()).toEqual([]);
      expect([path, failure.kind, failure.hint]).toEqual([
        path,
        "permission",
        expect.stringContaining('"read"'),
      ]);
    }
  }, 60_000);

  test("makes the changes that it can if the server does not tell a token's rights", async () => {
    const cluster = defineCluster("unsaid");
    await prepareRoles(admin, cluster);
    const policy = `${setupPolicy(cluster, ["mounts", "roles"]).replace(
      'path "sys/policies/acl/unsaid/worker" {\n  capabilities = ["read", "update"]',
      'path "sys/policies/acl/unsaid/worker" {\n  capabilities = ["read"]',
    )}\npath "sys/capabilities-self" { capabilities = ["deny"] }\n`;
    const client = await clientWith(policy);
    const failure = await failureOf(async () => (await planRoles(client, cluster)).apply(() => {}));
    expect(failure.message).toStartWith("POST sys/policies/acl/unsaid/worker: permission denied");
    expect(await admin.list("unsaid/pki/k8s/roles")).toContain("kubelet");
  }, 60_000);
});

test("a token with the policy that teardown prints removes everything, even host tokens", async () => {
  const cluster = defineCluster("gone");
  await prepareRoles(admin, cluster);
  await (await planSetup(root, cluster, { file: fileOf("gone") })).apply(() => {});
  const { worker = "" } = await storedTokens(admin, "gone");
  await admin.as(worker).write("auth/token/create/gone-worker", {});
  for (const [path, , left] of narrower(teardownPolicy(cluster))) {
    // Each server checks only one of the first two paths, and the last right is optional.
    if (/pki\/.*\/roles(\/\*)?$|^auth\/token\/lookup$/.test(path)) continue;
    const client = await clientWith(left);
    relay.reset();
    const failure = await failureOf(async () => {
      const teardown = await planTeardown(client, cluster, () => {});
      await teardown.apply({ revokeHosts: true, onRemoved() {}, onProgress() {} });
    });
    expect([path, failure.kind]).toEqual([path, "permission"]);
    expect(relay.writes().filter(({ path }) => path !== "auth/token/lookup-accessor")).toEqual([]);
  }
  const teardown = await planTeardown(await clientWith(teardownPolicy(cluster)), cluster, () => {});
  await teardown.apply({ revokeHosts: true, onRemoved() {}, onProgress() {} });
  expect(Object.keys(await admin.find("sys/mounts")).filter((it) => it.startsWith("gone"))).toEqual([]);
  expect((await admin.list("auth/token/roles")).filter((it) => it.startsWith("gone"))).toEqual([]);
}, 60_000);
