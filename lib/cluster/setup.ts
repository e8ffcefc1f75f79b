import type { VaultClient } from "../vault/client.ts";
import { deletePkiRole, readPkiRole } from "../vault/pki.ts";
import type { Cluster } from "./cluster.ts";
import { type ClusterFile, type Half, withFile } from "./cluster-file.ts";
import {
  type InitTokenRenewal,
  initTokenResources,
  renewInitTokens,
  rotatedInitTokens,
} from "./init-token-resources.ts";
import { mountResources } from "./mount-resources.ts";
import { secretsMount } from "./mounts.ts";
import { pkiRolePath } from "./pki-roles.ts";
import { apply, type Change, observe, plan, type Resource, type Unwanted } from "./plan.ts";
import { refuseNamesake } from "./policies.ts";
import { requireRights } from "./rights.ts";
import { pkiRoleRights, requireMounts, rightsResources } from "./role-resources.ts";
import { createServerView, type ServerView } from "./server-view.ts";
import { readStoredFile, storedFileResource } from "./stored-file.ts";

/** Which file a set-up goes by. */
export interface FileChoice {
  /** The one that was given. @default the one that the cluster was set up with before, if it was */
  readonly file?: ClusterFile | undefined;
  /** Go by none, whatever the cluster was set up with before. @default false */
  readonly narrow?: boolean | undefined;
}

/** A cluster's set-up or one half of it, planned: nothing is written before `apply`. */
export interface Setup {
  readonly changes: readonly Change[];
  /** Which file it goes by; undefined for none. */
  readonly file: FileSource | undefined;
  /**
   * Makes the changes, then renews what has to be kept alive.
   *
   * @throws Failure (permission), before anything is changed, that names each right that the token lacks
   * @param onDone told of each change once it is made
   * @returns the init tokens that were renewed
   */
  apply(onDone: (change: Change) => void): Promise<readonly InitTokenRenewal[]>;
}

type FileSource = "given" | "stored";

/**
 * Plans the mounts and CAs of a cluster.
 *
 * @throws Failure (config) where a mount of another type stands in the way; (usage) where a flag says other
 *   than the file; VaultError
 */
export async function planMounts(
  client: VaultClient,
  cluster: Cluster,
  choice: FileChoice = {},
): Promise<Setup> {
  const half = await planHalf(createServerView(client), cluster, "mounts", choice);
  return setupOf(client, cluster, half, async () => []);
}

/**
 * Plans the PKI roles, secrets, policies, token roles and init tokens of a cluster.
 *
 * @throws Failure (config) where the mounts are missing, or an init token stands that is not the one asked
 *   for; (usage) where a flag says other than the file; VaultError
 */
export async function planRoles(
  client: VaultClient,
  cluster: Cluster,
  choice: FileChoice = {},
): Promise<Setup> {
  const view = createServerView(client);
  await requireMounts(view, cluster);
  const half = await planHalf(view, cluster, "roles", choice);
  return setupOf(client, cluster, half, () => renewInitTokens(view, cluster));
}

/**
 * Plans both halves as one: where mounts are missing, what goes into them is to be made, too.
 *
 * @throws Failure (config) where a mount of another type stands in the way, or an init token that is not the
 *   one asked for; (usage) where a flag says other than the file; VaultError
 */
export async function planSetup(
  client: VaultClient,
  cluster: Cluster,
  choice: FileChoice = {},
): Promise<Setup> {
  const view = createServerView(client);
  // One after the other: a mount of another type is refused before anything in it is asked for.
  const mounts = await planHalf(view, cluster, "mounts", choice);
  const roles = await planHalf(view, cluster, "roles", choice);
  const both = { changes: [...mounts.changes, ...roles.changes], file: mounts.file ?? roles.file };
  return setupOf(client, cluster, both, () => renewInitTokens(view, cluster));
}

type Planned = Pick<Setup, "changes" | "file">;

/** @param renew what is done once the changes are made */
function setupOf(
  client: VaultClient,
  cluster: Cluster,
  planned: Planned,
  renew: () => ReturnType<Setup["apply"]>,
): Setup {
  return {
    ...planned,
    async apply(onDone) {
      const rights = planned.changes.flatMap(({ action, resource }) => resource.rights[action] ?? []);
      const tried = `the token may not make all changes to cluster ${cluster.id}`;
      await requireRights(client, rights, tried, "nothing was changed");
      await apply(client, planned.changes, onDone);
      return await renew();
    },
  };
}

async function planHalf(
  view: ServerView,
  cluster: Cluster,
  half: Half,
  { file, narrow }: FileChoice,
): Promise<Planned> {
  refuseNamesake(cluster, (await view.mounts()).keys());
  const isFormer = file !== undefined || narrow === true;
  const stored = await readStoredFile(view, cluster, half, isFormer);
  // Without a file and with nothing said, what the cluster was set up with is what it should be.
  const used = file ?? (isFormer ? undefined : stored);
  const wanted = used === undefined ? cluster : withFile(cluster, used);
  const part = used?.parts[half] ?? {};
  const isKept = stored !== undefined || Object.keys(part).length > 0;
  const kept = isKept ? [storedFileResource(cluster, half, part)] : [];
  const resources =
    half === "mounts"
      ? afterSecretsMount(mountResources(wanted), cluster, kept)
      : // Roles go before it is forgotten that they were ours.
        [
          ...droppedRoles(wanted, stored),
          ...kept,
          ...rightsResources(wanted),
          // Just before their successors are made: hosts find none for a moment alone.
          ...rotatedInitTokens(wanted),
          ...initTokenResources(wanted),
        ];
  return {
    changes: plan(resources, await observe(view, resources)),
    file: used && (used === file ? "given" : "stored"),
  };
}

/** What is kept comes before all that it speaks of: a run without the file goes on where one with it stopped. */
function afterSecretsMount(
  resources: readonly Resource[],
  cluster: Cluster,
  kept: ReadonlyArray<Resource | Unwanted>,
): ReadonlyArray<Resource | Unwanted> {
  if (kept.length === 0) return resources;
  const { path } = secretsMount(cluster);
  const isSecrets = (it: Resource) => it.kind === "mount" && it.path === path;
  return [...resources.filter(isSecrets), ...kept, ...resources.filter((it) => !isSecrets(it))];
}

/** The roles of the file before that the cluster no longer has. */
function droppedRoles(cluster: Cluster, stored: ClusterFile | undefined): readonly Unwanted[] {
  const wanted = cluster.pkiRoles.map((role) => pkiRolePath(cluster, role));
  return (stored?.choices.pkiRoles ?? [])
    .map((role) => pkiRolePath(cluster, role))
    .filter((path) => !wanted.includes(path))
    .map((path) => ({
      kind: "PKI role",
      path,
      rights: pkiRoleRights(path),
      read: async (view) => ((await view.isMounted(path)) ? await readPkiRole(view.client, path) : undefined),
      remove: (client) => deletePkiRole(client, path),
    }));
}
