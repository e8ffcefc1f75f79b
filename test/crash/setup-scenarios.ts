import { defineCluster } from "../../lib/cluster/cluster.ts";
import { pkiMounts } from "../../lib/cluster/mounts.ts";
import { findToken } from "../../lib/cluster/server-view.ts";
import { planMounts, planRoles } from "../../lib/cluster/setup-plan.ts";
import type { VaultClient } from "../../lib/vault/client.ts";
import { hasDefaultIssuer, listIssuers } from "../../lib/vault/issuers.ts";
import { writeSecret } from "../../lib/vault/kv.ts";
import { storedInitToken } from "../support/cluster-server.ts";
import { until } from "../support/wait.ts";
import type { Scenario } from "./scenario.ts";
import { promise } from "./world.ts";

/** The init tokens that a rotation has to revoke, by cluster. */
const rotated = new Map<string, string>();

/** It writes no files, so it is stopped between requests. */
export const setupScenarios: readonly Scenario[] = [
  {
    name: "set-up of mounts and CAs",
    script: "setup-mounts",
    isAdmins: true,
    onDisk: true,
    args: ({ cluster }) => [cluster],
    async prepare() {},
    // The server finishes a CA after the run is killed. A new run at that moment would make a second CA.
    stopped: ({ admin, cluster }) => until(async () => !(await isAtSomething(admin, cluster))),
    async done({ admin, cluster }) {
      const defined = defineCluster(cluster);
      promise((await planMounts(admin, defined)).changes.length === 0, "something still has to change");
      for (const { path } of pkiMounts(defined)) {
        promise((await listIssuers(admin, path)).length === 1, `${path} has not one issuer`);
        promise(await hasDefaultIssuer(admin, path), `${path} has an issuer that signs nothing`);
      }
    },
  },
  {
    name: "set-up of roles and tokens",
    script: "write-roles",
    isAdmins: true,
    args: ({ cluster }) => [cluster],
    async prepare({ admin, cluster, run }) {
      await run("setup-mounts", [cluster]);
      // An RSA key of 4096 bits for each point would take most of the time.
      await writeSecret(admin, `${cluster}/secrets/service-accounts`, { key: "made before" });
    },
    stopped() {},
    async done({ admin, cluster }) {
      const { changes } = await planRoles(admin, defineCluster(cluster));
      promise(changes.length === 0, "something still has to change");
    },
  },
  {
    name: "rotation of an init token",
    script: "write-roles",
    isAdmins: true,
    args: ({ cluster }) => ["--rotate-init-token", "worker", cluster],
    async prepare({ admin, cluster, run }) {
      await run("setup-mounts", [cluster]);
      await writeSecret(admin, `${cluster}/secrets/service-accounts`, { key: "made before" });
      await run("write-roles", [cluster]);
      rotated.set(cluster, await storedInitToken(admin, cluster, "worker"));
    },
    stopped() {},
    async done({ admin, cluster }) {
      const { changes } = await planRoles(admin, defineCluster(cluster));
      promise(changes.length === 0, "something still has to change");
      const old = await findToken(admin, rotated.get(cluster) ?? "");
      promise(old === undefined, "the old init token has not been revoked");
    },
  },
];

/** Whether the server is still working on a request for a cluster. */
async function isAtSomething(admin: VaultClient, cluster: string): Promise<boolean> {
  const requests = await admin.request({
    method: "GET",
    path: "sys/in-flight-req",
    capability: "read",
    repeatable: true,
  });
  return JSON.stringify(requests).includes(cluster);
}
