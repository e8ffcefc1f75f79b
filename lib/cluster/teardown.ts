import { revokeAccessor, revokeAccessorPath } from "../vault/accessor.ts";
import type { VaultClient } from "../vault/client.ts";
import { each, type OnProgress } from "../vault/each.ts";
import { means } from "../vault/error.ts";
import type { Fields } from "../vault/shape.ts";
import { lookupSelf } from "../vault/token.ts";
import type { Cluster } from "./cluster.ts";
import { withFile } from "./cluster-file.ts";
import { countByRole, findClusterTokens, type HostTokenEntry } from "./cluster-tokens.ts";
import { type MountContents, readMountContents } from "./mount-contents.ts";
import { isMountedAsWanted, mountResources } from "./mount-resources.ts";
import { pkiMounts, secretsMount } from "./mounts.ts";
import { isRefusal, type Removal, type Resource } from "./plan.ts";
import { retiredPrefix } from "./retire-ca.ts";
import { requireRights, right } from "./rights.ts";
import { roleResources } from "./role-resources.ts";
import { createServerView, type ServerView } from "./server-view.ts";
import { readStoredFile, storedFilePath } from "./stored-file.ts";

/** Something of the cluster that will be removed. */
export interface PlannedRemoval {
  readonly resource: Resource;
  /** The contents of a mount, if they can be read. */
  readonly contents: MountContents | undefined;
}

/** Something at one of the cluster's paths that stays, since set-up did not make it. */
interface Kept {
  readonly resource: Resource;
  readonly why: string;
}

interface TeardownOptions {
  /** Also revokes all host tokens. */
  readonly revokeHosts: boolean;
  /** Called before each removal. */
  readonly onRemoving?: (resource: Resource) => void;
  /** Called after each removal. */
  readonly onRemoved: (resource: Resource) => void;
  /** Called with the number of host tokens that were revoked so far. */
  readonly onRevoked?: (count: number) => void;
  readonly onProgress: OnProgress;
}

/** The plan of a cluster's teardown. Nothing is written before `apply`. */
export interface Teardown {
  /** In the order of removal. */
  readonly removals: readonly PlannedRemoval[];
  readonly kept: readonly Kept[];
  /** The number of host tokens by token role. */
  readonly hostTokens: Readonly<Record<string, number>>;
  /** The number of other tokens that hold a policy of the cluster. They stay. */
  readonly otherTokens: number;
  /**
   * Makes the removals. If it stops in between, the next plan finds the remaining ones.
   *
   * @throws Failure (permission) that names each missing right; nothing is removed then
   */
  apply(options: TeardownOptions): Promise<void>;
}

interface Removable {
  readonly resource: Resource;
  readonly removal: Removal;
  readonly found: Fields;
}

/**
 * Plans the removal of everything that set-up made for a cluster, and counts what is lost with it.
 *
 * The order is the reverse of set-up's: init tokens are revoked while their ids can still be read, and mounts go last.
 *
 * @throws VaultError
 */
export async function planTeardown(
  client: VaultClient,
  cluster: Cluster,
  onProgress: OnProgress,
): Promise<Teardown> {
  const view = tolerantView(createServerView(client), cluster);
  const { accessor: own } = await lookupSelf(client);
  const resources = [...mountResources(cluster), ...roleResources(cluster)].reverse();
  const inspected = await Promise.all(resources.map((resource) => inspect(view, resource, own)));
  const removable = inspected.flatMap((it) => (it !== undefined && "found" in it ? [it] : []));
  const made = await pathsOfSetup(view, cluster);
  const retired = pkiMounts(cluster).map((it) => `${secretsMount(cluster).path}/${retiredPrefix(it)}`);
  const isMade = (path: string) => made.has(path) || retired.some((prefix) => path.startsWith(prefix));
  const removals: PlannedRemoval[] = [];
  // One mount after the other, since counting one already uses all requests that may be under way.
  for (const { resource } of removable) {
    const contents = await readMountContents(client, cluster, resource.path, isMade, onProgress);
    removals.push({ resource, contents });
  }
  const tokens = await findClusterTokens(client, cluster, onProgress);
  const hosts = tokens.hosts.filter(({ accessor }) => accessor !== own);
  const going = new Set(removable.map(({ found }) => found.accessor));
  return {
    removals,
    kept: inspected.flatMap((it) => (it !== undefined && "why" in it ? [it] : [])),
    hostTokens: countByRole(hosts),
    otherTokens: tokens.others.filter(({ accessor }) => !going.has(accessor)).length,
    async apply({ revokeHosts, onRemoving, onRemoved, onRevoked, onProgress }) {
      const rights = removable.flatMap(({ resource }) => resource.rights.delete ?? []);
      if (revokeHosts && hosts.length > 0) rights.push(right("update", revokeAccessorPath));
      const tried = `the token may not remove all of cluster ${cluster.id}`;
      // A teardown that lacks a right halfway would leave half a cluster.
      await requireRights(client, rights, tried, "nothing was removed");
      for (const { resource, removal, found } of removable) {
        onRemoving?.(resource);
        await removal.run(client, found);
        onRemoved(resource);
      }
      if (!revokeHosts) return;
      // The token roles are gone now, so the tokens that were made since the plan are the last ones.
      const later = await findClusterTokens(client, cluster, onProgress, tokens.seen);
      await revokeTokens(client, [...hosts, ...later.hosts], onRevoked, onProgress);
    },
  };
}

/** A view that finds no secret in a mount that is missing, has another type, or is being disabled. */
function tolerantView(view: ServerView, cluster: Cluster): ServerView {
  return {
    ...view,
    async secret(path) {
      if (!isMountedAsWanted(await view.mounts(), secretsMount(cluster))) return undefined;
      try {
        return await view.secret(path);
      } catch (error) {
        if (means(error, "notMounted")) return undefined;
        throw error;
      }
    },
  };
}

/** The paths of all roles and secrets that set-up makes, including those of the stored cluster file. */
async function pathsOfSetup(view: ServerView, cluster: Cluster): Promise<ReadonlySet<string>> {
  const file = await readStoredFile(view, cluster, "roles", true).catch(ignoreRefusal);
  const resources = roleResources(file === undefined ? cluster : withFile(cluster, file));
  const files = [storedFilePath(cluster, "mounts"), storedFilePath(cluster, "roles")];
  return new Set([...resources.map(({ path }) => path), ...files]);
}

/** If the stored file can't be read, the teardown goes on, and counts what the file made as somebody else's. */
function ignoreRefusal(error: unknown): undefined {
  if (!isRefusal(error)) throw error;
}

/** Whether a resource can be removed or has to stay; undefined if it does not exist, or goes with its mount. */
async function inspect(
  view: ServerView,
  resource: Resource,
  own: string,
): Promise<Removable | Kept | undefined> {
  const { removal } = resource;
  if (removal === undefined) return undefined;
  try {
    const found = await resource.read(view);
    if (found === undefined) return undefined;
    // Refuses something of another kind, which set-up did not make.
    resource.refuse?.(found);
    const why = found.accessor === own ? "it is the token that this run uses" : removal.keep?.(found);
    return why === undefined ? { resource, removal, found } : { resource, why };
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return { resource, why: error.message };
  }
}

async function revokeTokens(
  client: VaultClient,
  tokens: readonly HostTokenEntry[],
  onRevoked: TeardownOptions["onRevoked"],
  onProgress: OnProgress,
): Promise<void> {
  await each(
    tokens,
    ({ accessor }) => revokeAccessor(client, accessor),
    (done) => {
      onRevoked?.(done);
      onProgress("revoked host tokens", done, tokens.length);
    },
  );
}
