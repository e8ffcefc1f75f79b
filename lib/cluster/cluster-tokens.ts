import { listAccessors, lookupAccessor, lookupAccessorPath, type TokenEntry } from "../vault/accessor.ts";
import type { VaultClient } from "../vault/client.ts";
import { each, type OnProgress } from "../vault/each.ts";
import type { Cluster } from "./cluster.ts";
import { policies } from "./policies.ts";
import { type Right, right } from "./rights.ts";
import { tokenRoles } from "./token-roles.ts";

/** A host's token: one that a token role of the cluster made. */
export interface HostToken extends TokenEntry {
  readonly role: string;
}

export interface ClusterTokens {
  readonly hosts: readonly HostToken[];
  /** Those that hold a policy of the cluster and were made otherwise: init tokens, and an admin's own. */
  readonly others: readonly TokenEntry[];
  /** Accessors of all tokens of the server that were looked at. */
  readonly seen: ReadonlySet<string>;
}

/** What it takes to look through the tokens of a server. */
export const tokensRights: readonly Right[] = [
  right("list sudo", "auth/token/accessors"),
  right("update", lookupAccessorPath),
];

/**
 * Looks through all tokens of the server for those of a cluster: one request a token, a few at a time.
 *
 * @param passOver accessors of tokens that are known
 * @throws VaultError
 */
export async function findClusterTokens(
  client: VaultClient,
  cluster: Cluster,
  onProgress: OnProgress,
  passOver: ReadonlySet<string> = new Set(),
): Promise<ClusterTokens> {
  const accessors = (await listAccessors(client)).filter((it) => !passOver.has(it));
  const roles = new Set(tokenRoles(cluster).map(({ name }) => name));
  const names = new Set(policies(cluster).map(({ name }) => name));
  const hosts: HostToken[] = [];
  const others: TokenEntry[] = [];
  await each(
    accessors,
    async (accessor) => {
      const token = await lookupAccessor(client, accessor);
      if (token === undefined) return;
      if (isHosts(token, roles)) hosts.push(token);
      else if (token.policies.some((name) => names.has(name))) others.push(token);
    },
    (done) => onProgress("looked at tokens", done, accessors.length),
  );
  return { hosts, others, seen: new Set(accessors) };
}

function isHosts(token: TokenEntry, roles: ReadonlySet<string>): token is HostToken {
  return token.role !== undefined && roles.has(token.role);
}

/** How many there are of each token role; of those that there are. */
export function countByRole(hosts: readonly HostToken[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { role } of hosts.toSorted((a, b) => (a.role < b.role ? -1 : 1))) {
    counts[role] = (counts[role] ?? 0) + 1;
  }
  return counts;
}
