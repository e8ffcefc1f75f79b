import type { Fields } from "../vault/shape.ts";
import { type Cluster, type HostRole, hostRoles, tokenPeriodSeconds } from "./cluster.ts";
import { creatorPolicyName, policyName, tokenRoleName } from "./policies.ts";

export interface WantedTokenRole {
  readonly name: string;
  readonly fields: Fields;
}

/** Which policies a host's token holds, by what the host is. */
const policyNames: Readonly<Record<HostRole, readonly string[]>> = {
  etcd: ["etcd"],
  master: ["master", "worker"],
  worker: ["worker"],
  all: ["etcd", "master", "worker"],
};

/** One for each host role: what a host's own token is made by. */
export function tokenRoles(cluster: Cluster): readonly WantedTokenRole[] {
  return hostRoles.map((role) => ({
    name: tokenRoleName(cluster, role),
    fields: {
      allowed_policies: policyNames[role].map((name) => policyName(cluster, name)),
      allowed_policies_glob: [],
      disallowed_policies: [],
      disallowed_policies_glob: [],
      allowed_entity_aliases: [],
      orphan: true,
      path_suffix: `${cluster.id}/${role}`,
      // Sets `token_period`, too; sent beside it, the server would keep `period` at 0.
      period: tokenPeriodSeconds,
      renewable: true,
      token_bound_cidrs: [],
      token_explicit_max_ttl: 0,
      token_no_default_policy: false,
      token_num_uses: 0,
      // Never a batch token, which has no accessor and can't be revoked.
      token_type: "service",
    },
  }));
}

/** A low-privilege token that may create one host's token of its role, and where its id is kept. */
export interface WantedInitToken {
  readonly role: HostRole;
  readonly secretPath: string;
  readonly displayName: string;
  readonly policies: readonly string[];
  readonly periodSeconds: number;
}

/** One for each host role. */
export function initTokens(cluster: Cluster): readonly WantedInitToken[] {
  return hostRoles.map((role) => ({
    role,
    secretPath: `${cluster.id}/secrets/init_token_${role}`,
    displayName: tokenRoleName(cluster, role),
    policies: [creatorPolicyName(cluster, role)],
    periodSeconds: tokenPeriodSeconds,
  }));
}
