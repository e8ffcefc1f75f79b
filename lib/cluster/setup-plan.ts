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

/** The cluster file that a set-up uses. */
export interface FileChoice {
  /** A file that was given. @default the stored file of an earlier set-up, if there is one */
  readonly file?: ClusterFile | undefined;
  /** Use no file, not even the stored one. @default false */
  readonly narrow?: boolean | undefined;
}

/** The plan of a cluster's set-up, or of one half of it. Nothing is written before `apply`. */
export interface SetupPlan {
  readonly changes: readonly Change[];
  /** Where the cluster file came from; undefined if none is used. */
  readonly file: FileSource | undefined;
  /**
   * Makes the changes, then renews the init tokens that already existed.
   *
   * @param onDone called after each change
   * @returns the init tokens that were renewed
   * @throws Failure (permission) that names each missing right; nothing is changed then
   */
  apply(onDone: (change: Change) => void): Promise<readonly InitTokenRenewal[]>;
}

type FileSource = "given" | "stored";

/**
 * Plans the mounts and CAs of a cluster.
 *
 * @throws Failure (config) if a mount of another type is in the way; (usage) if a flag differs from the file;
 *   VaultError
 */
export async function planMounts(
  client: VaultClient,
  cluster: Cluster,
  choice: FileChoice = {},
): Promise<SetupPlan> {
  const half = await planHalf(createServerView(client), cluster, "mounts", choice);
  return withApply(client, cluster, half, async () => []);
}

/**
 * Plans the PKI roles, secrets, policies, token roles and init tokens of a cluster.
 *
 * @throws Failure (config) if mounts are missing, or an init token exists with another id than the given one; (usage)
 *   if a flag differs from the file; VaultError
 */
export async function planRoles(
  client: VaultClient,
  cluster: Cluster,
  choice: FileChoice = {},
): Promise<SetupPlan> {
  const view = createServerView(client);
  await requireMounts(view, cluster);
  const half = await planHalf(view, cluster, "roles", choice);
  return withApply(client, cluster, half, () => renewInitTokens(view, cluster));
}

/**
 * Plans both halves together. Missing mounts are planned with their contents.
 *
 * @throws Failure (config) if a mount of another type is in the way, or an init token exists with another id than the
 *   given one; (usage) if a flag differs from the file; VaultError
 */
export async function planSetup(
  client: VaultClient,
  cluster: Cluster,
  choice: FileChoice = {},
): Promise<SetupPlan> {
  const view = createServerView(client);
  // One after the other, so that a mount of another type is refused before its contents are read.
  const mounts = await planHalf(view, cluster, "mounts", choice);
  const roles = await planHalf(view, cluster, "roles", choice);
  const both = { changes: [...mounts.changes, ...roles.changes], file: mounts.file ?? roles.file };
  return withApply(client, cluster, both, () => renewInitTokens(view, cluster));
}

type Planned = Pick<SetupPlan, "changes" | "file">;

/** @param renew called once the changes are made */
function withApply(
  client: VaultClient,
  cluster: Cluster,
  planned: Planned,
  renew: () => ReturnType<SetupPlan["apply"]>,
): SetupPlan {
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
  // Without a file and without --narrow, the stored file still applies.
  const used = file ?? (isFormer ? undefined : stored);
  const wanted = used === undefined ? cluster : withFile(cluster, used);
  const part = used?.parts[half] ?? {};
  const isKept = stored !== undefined || Object.keys(part).length > 0;
  const kept = isKept ? [storedFileResource(cluster, half, part)] : [];
  const resources =
    half === "mounts"
      ? afterSecretsMount(mountResources(wanted), cluster, kept)
      : // Roles are deleted before the stored file forgets that set-up made them.
        [
          ...droppedRoles(wanted, stored),
          ...kept,
          ...rightsResources(wanted),
          // Right before the new ones are made, so that hosts lack an init token only for a moment.
          ...rotatedInitTokens(wanted),
          ...initTokenResources(wanted),
        ];
  return {
    changes: plan(resources, await observe(view, resources)),
    file: used && (used === file ? "given" : "stored"),
  };
}

/**
 * Puts the stored file before everything that depends on it. A run without `--config` can then finish a stopped one.
 */
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

/** The PKI roles of the stored file that the cluster no longer has. */
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
