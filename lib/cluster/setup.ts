import type { VaultClient } from "../vault/client.ts";
import type { Cluster } from "./cluster.ts";
import { type InitTokenRenewal, renewInitTokens } from "./init-token-resources.ts";
import { mountResources } from "./mount-resources.ts";
import { apply, type Change, observe, plan } from "./plan.ts";
import { requireMounts, roleResources } from "./role-resources.ts";
import { createServerView } from "./server-view.ts";

/** A cluster's set-up or one half of it, planned: nothing is written before `apply`. */
export interface Setup {
  readonly changes: readonly Change[];
  /**
   * Makes the changes, then renews what has to be kept alive.
   *
   * @param onDone told of each change once it is made
   * @returns the init tokens that were renewed
   */
  apply(onDone: (change: Change) => void): Promise<readonly InitTokenRenewal[]>;
}

/**
 * Plans the mounts and CAs of a cluster.
 *
 * @throws Failure (configuration) where a mount of another type stands in the way; VaultError
 */
export async function planMounts(client: VaultClient, cluster: Cluster): Promise<Setup> {
  const resources = mountResources(cluster);
  const changes = plan(resources, await observe(createServerView(client), resources));
  return {
    changes,
    async apply(onDone) {
      await apply(client, changes, onDone);
      return [];
    },
  };
}

/**
 * Plans the PKI roles, secrets, policies, token roles and init tokens of a cluster.
 *
 * @throws Failure (configuration) where the mounts are missing, or an init token stands that is not the one asked
 *   for; VaultError
 */
export async function planRoles(client: VaultClient, cluster: Cluster): Promise<Setup> {
  const view = createServerView(client);
  await requireMounts(view, cluster);
  const resources = roleResources(cluster);
  const changes = plan(resources, await observe(view, resources));
  return {
    changes,
    async apply(onDone) {
      await apply(client, changes, onDone);
      return await renewInitTokens(view, cluster);
    },
  };
}

/**
 * Plans both halves as one: where mounts are missing, what goes into them is to be made, too.
 *
 * @throws Failure (configuration) where a mount of another type stands in the way, or an init token that is not the
 *   one asked for; VaultError
 */
export async function planSetup(client: VaultClient, cluster: Cluster): Promise<Setup> {
  const view = createServerView(client);
  const changes: Change[] = [];
  // One after the other: a mount of another type is refused before anything in it is asked for.
  for (const resources of [mountResources(cluster), roleResources(cluster)]) {
    changes.push(...plan(resources, await observe(view, resources)));
  }
  return {
    changes,
    async apply(onDone) {
      await apply(client, changes, onDone);
      return await renewInitTokens(view, cluster);
    },
  };
}
