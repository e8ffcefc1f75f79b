import type { Fields } from "../vault/shape.ts";
import { type Cluster, type HostRole, hostRoles, tokenPeriodSeconds } from "./cluster.ts";
import { creatorPolicyName, policyName, tokenRoleName } from "./policies.ts";

export interface WantedTokenRole {
  readonly name: string;
  readonly fields: Fields;
}

/** The policies of a host token, by host role. */
const policyNames: Readonly<Record<HostRole, readonly string[]>> = {
  etcd: ["etcd"],
  master: ["master", "worker"],
  worker: ["worker"],
  all: ["etcd", "master", "worker"],
};

/** One token role for each host role. It makes the host tokens. */
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
      // This also sets `token_period`. If both are sent, the server keeps `period` at 0.
      period: tokenPeriodSeconds,
      renewable: true,
      token_bound_cidrs: [],
      token_explicit_max_ttl: 0,
      token_no_default_policy: false,
      token_num_uses: 0,
      // Not a batch token: that has no accessor and can't be revoked.
      token_type: "service",
    },
  }));
}

/** An init token: it may do nothing but create host tokens of one host role. */
export interface WantedInitToken {
  readonly role: HostRole;
  /** The secret that stores its id. */
  readonly secretPath: string;
  readonly displayName: string;
  readonly policies: readonly string[];
  readonly periodSeconds: number;
}

/** One init token for each host role. */
export function initTokens(cluster: Cluster): readonly WantedInitToken[] {
  return hostRoles.map((role) => ({
    role,
    secretPath: `${cluster.id}/secrets/init_token_${role}`,
    displayName: tokenRoleName(cluster, role),
    policies: [creatorPolicyName(cluster, role)],
    periodSeconds: tokenPeriodSeconds,
  }));
}
