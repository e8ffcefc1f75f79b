import type { Cluster } from "../../lib/cluster/cluster.ts";
import { pkiMounts, secretsMount } from "../../lib/cluster/mounts.ts";
import type { Change } from "../../lib/cluster/plan.ts";
import { type FileChoice, planMounts, planRoles } from "../../lib/cluster/setup-plan.ts";
import { createVaultClient, type VaultClient } from "../../lib/vault/client.ts";
import type { Api } from "./api.ts";

/** A client without retries. */
export function clientOf(address: string, token: string): VaultClient {
  return createVaultClient({ address, token, maxRetries: 0 });
}

export const halves = { "setup-mounts": planMounts, "write-roles": planRoles } as const;
export type Half = keyof typeof halves;

/** Runs one half of set-up in this process. Returns its changes. */
export async function run(
  half: Half,
  client: VaultClient,
  cluster: Cluster,
  choice: FileChoice = {},
): Promise<readonly string[]> {
  const done: string[] = [];
  const setup = await halves[half](client, cluster, choice);
  await setup.apply((change) => done.push(changeName(change)));
  return done;
}

/** `update policy demo/etcd` */
export function changeName({ action, resource }: Change): string {
  return `${action} ${resource.kind} ${resource.path}`;
}

/** The writes of every run of `write-roles`. */
export const renewals = Array(4).fill("auth/token/renew-self");

/** The mounts of a cluster without CAs. `write-roles` does not need them, and they take long to make. */
export async function makeMounts(api: Api, cluster: Cluster): Promise<void> {
  for (const { path, type, description, leaseTtlSeconds } of [...pkiMounts(cluster), secretsMount(cluster)]) {
    const ttl = `${leaseTtlSeconds}s`;
    const config = { default_lease_ttl: ttl, max_lease_ttl: ttl };
    await api.write(`sys/mounts/${path}`, { type, description, config });
  }
}

/** Writes a fake for the one secret that takes long to make. */
export async function storeServiceAccountKey(api: Api, { id }: Cluster): Promise<void> {
  await api.write(`${id}/secrets/service-accounts`, {
    key: "-----BEGIN RSA PRIVATE KEY-----\nnot a key\n-----END RSA PRIVATE KEY-----\n",
  });
}

/** Everything that `write-roles` needs, if it is quick to make. */
export async function prepareRoles(api: Api, cluster: Cluster): Promise<void> {
  await makeMounts(api, cluster);
  await storeServiceAccountKey(api, cluster);
}
