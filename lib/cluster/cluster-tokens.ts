import { listAccessors, lookupAccessor, lookupAccessorPath, type TokenEntry } from "../vault/accessor.ts";
import type { VaultClient } from "../vault/client.ts";
import { each, type OnProgress } from "../vault/each.ts";
import type { Cluster } from "./cluster.ts";
import { policies } from "./policies.ts";
import { type Right, right } from "./rights.ts";
import { tokenRoles } from "./token-roles.ts";

/** A host token: a token role of the cluster made it. */
export interface HostTokenEntry extends TokenEntry {
  readonly role: string;
}

export interface ClusterTokens {
  readonly hosts: readonly HostTokenEntry[];
  /** Other tokens with a policy of the cluster: init tokens, and tokens that an admin made. */
  readonly others: readonly TokenEntry[];
  /** Accessors of all tokens that were looked up. */
  readonly seen: ReadonlySet<string>;
}

/** The rights to look up all tokens of a server. */
export const tokensRights: readonly Right[] = [
  right("list sudo", "auth/token/accessors"),
  right("update", lookupAccessorPath),
];

/**
 * Finds the tokens of a cluster. Looks up every token of the server with one request each, a few at a time.
 *
 * @param known accessors of tokens to skip
 * @throws VaultError
 */
export async function findClusterTokens(
  client: VaultClient,
  cluster: Cluster,
  onProgress: OnProgress,
  known: ReadonlySet<string> = new Set(),
): Promise<ClusterTokens> {
  const accessors = (await listAccessors(client)).filter((it) => !known.has(it));
  const roles = new Set(tokenRoles(cluster).map(({ name }) => name));
  const names = new Set(policies(cluster).map(({ name }) => name));
  const hosts: HostTokenEntry[] = [];
  const others: TokenEntry[] = [];
  await each(
    accessors,
    async (accessor) => {
      const token = await lookupAccessor(client, accessor);
      if (token === undefined) return;
      if (isHostToken(token, roles)) hosts.push(token);
      else if (token.policies.some((name) => names.has(name))) others.push(token);
    },
    (done) => onProgress("looked at tokens", done, accessors.length),
  );
  return { hosts, others, seen: new Set(accessors) };
}

function isHostToken(token: TokenEntry, roles: ReadonlySet<string>): token is HostTokenEntry {
  return token.role !== undefined && roles.has(token.role);
}

/** Counts host tokens by token role. Roles without tokens are left out. */
export function countByRole(hosts: readonly HostTokenEntry[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { role } of hosts.toSorted((a, b) => (a.role < b.role ? -1 : 1))) {
    counts[role] = (counts[role] ?? 0) + 1;
  }
  return counts;
}
