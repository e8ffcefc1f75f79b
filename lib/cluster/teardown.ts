import { revokeAccessor, revokeAccessorPath } from "../vault/accessor.ts";
import type { VaultClient } from "../vault/client.ts";
import { each, type OnProgress } from "../vault/each.ts";
import { means } from "../vault/error.ts";
import type { Fields } from "../vault/shape.ts";
import { lookupSelf } from "../vault/token.ts";
import type { Cluster } from "./cluster.ts";
import { withFile } from "./cluster-file.ts";
import { countByRole, findClusterTokens, type HostToken } from "./cluster-tokens.ts";
import { type MountContents, readMountContents } from "./mount-contents.ts";
import { mountResources, standsAsWanted } from "./mount-resources.ts";
import { secretsMount } from "./mounts.ts";
import { isRefusal, type Removal, type Resource } from "./plan.ts";
import { requireRights, right } from "./rights.ts";
import { roleResources } from "./role-resources.ts";
import { createServerView, type ServerView } from "./server-view.ts";
import { readStoredFile, storedFilePath } from "./stored-file.ts";

/** Something of the cluster's that stands, and is to be taken away. */
export interface PlannedRemoval {
  readonly resource: Resource;
  /** Of a mount, as far as it can be read. */
  readonly contents: MountContents | undefined;
}

/** Something that stands in a place of the cluster's, and is not set-up's to take away. */
interface Kept {
  readonly resource: Resource;
  readonly why: string;
}

interface TeardownOptions {
  /** Ends the tokens of hosts, too. */
  readonly revokeHosts: boolean;
  /** Told of each thing before it goes, */
  readonly onRemoving?: (resource: Resource) => void;
  /** and once it is gone. */
  readonly onRemoved: (resource: Resource) => void;
  /** Told how many tokens of hosts are ended by now. */
  readonly onRevoked?: (count: number) => void;
  readonly onProgress: OnProgress;
}

/** The end of a cluster in the server, planned: nothing is written before `apply`. */
export interface Teardown {
  /** In the order in which they go. */
  readonly removals: readonly PlannedRemoval[];
  readonly kept: readonly Kept[];
  /** How many tokens of hosts there are, by token role. */
  readonly hostTokens: Readonly<Record<string, number>>;
  /** How many other tokens hold a policy of the cluster, and stay. */
  readonly otherTokens: number;
  /**
   * Takes all of it away. Stopped anywhere, what remains is what the next plan finds.
   *
   * @throws Failure (permission), before anything is removed, that names each right that the token lacks
   */
  apply(options: TeardownOptions): Promise<void>;
}

interface Standing {
  readonly resource: Resource;
  readonly removal: Removal;
  readonly found: Fields;
}

/**
 * Plans to take away what set-up made for a cluster, and counts what goes with it.
 *
 * In the reverse of set-up's order: init tokens go while the secrets still tell their ids, and mounts last.
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
  const looked = await Promise.all(resources.map((resource) => look(view, resource, own)));
  const standing = looked.flatMap((it) => (it !== undefined && "found" in it ? [it] : []));
  const made = await pathsOfSetup(view, cluster);
  const removals: PlannedRemoval[] = [];
  // One mount after the other: each counts with as many requests as there may be under way.
  for (const { resource } of standing) {
    const contents = await readMountContents(client, cluster, resource.path, made, onProgress);
    removals.push({ resource, contents });
  }
  const tokens = await findClusterTokens(client, cluster, onProgress);
  const hosts = tokens.hosts.filter(({ accessor }) => accessor !== own);
  const going = new Set(standing.map(({ found }) => found.accessor));
  return {
    removals,
    kept: looked.flatMap((it) => (it !== undefined && "why" in it ? [it] : [])),
    hostTokens: countByRole(hosts),
    otherTokens: tokens.others.filter(({ accessor }) => !going.has(accessor)).length,
    async apply({ revokeHosts, onRemoving, onRemoved, onRevoked, onProgress }) {
      const rights = standing.flatMap(({ resource }) => resource.rights.delete ?? []);
      if (revokeHosts && hosts.length > 0) rights.push(right("update", revokeAccessorPath));
      const tried = `the token may not remove all of cluster ${cluster.id}`;
      // One that stops for want of a right would leave half a cluster.
      await requireRights(client, rights, tried, "nothing was removed");
      for (const { resource, removal, found } of standing) {
        onRemoving?.(resource);
        await removal.run(client, found);
        onRemoved(resource);
      }
      if (!revokeHosts) return;
      // Once the token roles are gone, so that those made since the plan are the last.
      const later = await findClusterTokens(client, cluster, onProgress, tokens.seen);
      await endTokens(client, [...hosts, ...later.hosts], onRevoked, onProgress);
    },
  };
}

/** Reads no secret of a mount that is not there, not the cluster's, or going: what set-up would not do either. */
function tolerantView(view: ServerView, cluster: Cluster): ServerView {
  return {
    ...view,
    async secret(path) {
      if (!standsAsWanted(await view.mounts(), secretsMount(cluster))) return undefined;
      try {
        return await view.secret(path);
      } catch (error) {
        if (means(error, "notMounted")) return undefined;
        throw error;
      }
    },
  };
}

/** Of all roles and secrets that set-up makes, by the file that it went by, too. */
async function pathsOfSetup(view: ServerView, cluster: Cluster): Promise<ReadonlySet<string>> {
  const file = await readStoredFile(view, cluster, "roles", true).catch(ignoreRefusal);
  const resources = roleResources(file === undefined ? cluster : withFile(cluster, file));
  const files = [storedFilePath(cluster, "mounts"), storedFilePath(cluster, "roles")];
  return new Set([...resources.map(({ path }) => path), ...files]);
}

/** One that can't be read is no reason to leave the cluster standing: what it made is taken for an admin's own. */
function ignoreRefusal(error: unknown): undefined {
  if (!isRefusal(error)) throw error;
}

/** What is there for one resource that has a removal; undefined where nothing is. */
async function look(view: ServerView, resource: Resource, own: string): Promise<Standing | Kept | undefined> {
  const { removal } = resource;
  if (removal === undefined) return undefined;
  try {
    const found = await resource.read(view);
    if (found === undefined) return undefined;
    // Another kind of thing, which set-up would not take for its own.
    resource.refuse?.(found);
    const why = found.accessor === own ? "it is the token of this run" : removal.keep?.(found);
    return why === undefined ? { resource, removal, found } : { resource, why };
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return { resource, why: error.message };
  }
}

async function endTokens(
  client: VaultClient,
  tokens: readonly HostToken[],
  onRevoked: TeardownOptions["onRevoked"],
  onProgress: OnProgress,
): Promise<void> {
  await each(
    tokens,
    ({ accessor }) => revokeAccessor(client, accessor),
    (done) => {
      onRevoked?.(done);
      onProgress("ended hosts' tokens", done, tokens.length);
    },
  );
}
