import { type Cluster, defineCluster } from "../../lib/cluster/cluster.ts";
import { secretsMount } from "../../lib/cluster/mounts.ts";
import { beginRemoval, leavesCutOffs, makeCertificates } from "../cluster/cut-off.ts";
import { makeMounts, run, storeServiceAccountKey } from "../cluster/run.ts";
import { readWholeServer, type WholeServer } from "../cluster/whole-server.ts";
import type { Scenario, World } from "./scenario.ts";
import { promise } from "./world.ts";

/**
 * One cluster of a server is removed, and everything else stays.
 *
 * @param make prepares the cluster
 */
function teardown(
  name: string,
  make: (world: World, cluster: Cluster) => Promise<void>,
  more: Pick<Scenario, "isPossible"> = {},
): Scenario {
  const before = new WeakMap<World, WholeServer>();
  return {
    name,
    script: "teardown",
    isAdmins: true,
    onDisk: true,
    ...more,
    args: ({ cluster }) => ["--yes", cluster, "--revoke-hosts", cluster],
    async prepare(world) {
      before.set(world, await readWholeServer(world.api));
      await make(world, defineCluster(world.cluster));
    },
    stopped() {},
    async done(world) {
      const [was, is] = [before.get(world), await readWholeServer(world.api)];
      for (const part of ["mounts", "contents", "policies", "tokenRoles", "tokens"] as const) {
        promise(Bun.deepEquals(was?.[part], is[part]), `the server's ${part} are not those of before`);
      }
    },
  };
}

async function makeCluster({ api, admin }: World, cluster: Cluster): Promise<void> {
  await makeMounts(api, cluster);
  await storeServiceAccountKey(api, cluster);
  await run("write-roles", admin, cluster);
  await makeCertificates(api, `${cluster.id}/pki/k8s`, 4);
  for (const role of ["etcd", "worker"]) await api.write(`auth/token/create/${cluster.id}-${role}`, {});
}

/** A PKI mount that the server has begun to remove, and its secrets, as a killed teardown leaves them. */
async function cutOff({ api }: World, cluster: Cluster): Promise<void> {
  const { path, type } = secretsMount(cluster);
  await api.write(`sys/mounts/${path}`, { type });
  const mount = `${cluster.id}/pki/k8s`;
  // The server may finish before it is cut off.
  do await beginRemoval(api, mount);
  while ((await api.find("sys/mounts"))[`${mount}/`] === undefined);
}

export const teardownScenarios: readonly Scenario[] = [
  teardown("teardown", makeCluster),
  teardown("teardown that was cut off before", cutOff, { isPossible: leavesCutOffs }),
];
