import { Failure } from "../failure.ts";
import {
  type Capability,
  type Cluster,
  type HostRole,
  hostRoles,
  type PolicyRole,
  policyRoles,
} from "./cluster.ts";
import { pkiMounts, secretsMount } from "./mounts.ts";
import type { Right } from "./rights.ts";

export interface WantedPolicy {
  readonly name: string;
  /** HCL, the server's language for policies. */
  readonly text: string;
}

interface Rule {
  /** Relative to the cluster's path. */
  readonly path: string;
  readonly capabilities: readonly Capability[];
  /** Limits the parameters of a request. @default none */
  readonly limit?: Limit | undefined;
}

/** The only parameters that a request may have, or those that it may not have, with the server's names. */
interface Limit {
  readonly parameters: "allowed_parameters" | "denied_parameters";
  readonly names: readonly string[];
}

const write: readonly Capability[] = ["create", "read", "update"];

/**
 * The parameters of a sign request. A role's `max_ttl` limits only `ttl`: `not_after` could ask for a longer validity.
 * docs/security-parameters.md explains each parameter.
 *
 * @see https://developer.hashicorp.com/vault/docs/concepts/policies#parameter-constraints
 */
const signLimit: Limit = {
  parameters: "allowed_parameters",
  names: ["csr", "common_name", "alt_names", "ip_sans", "ttl"],
};
const furtherSignLimit: Limit = { parameters: "denied_parameters", names: ["not_after"] };

/** `type` is left out: it could ask for a batch token, which nobody can revoke. */
const creatorLimit: Limit = {
  parameters: "allowed_parameters",
  names: ["display_name", "num_uses", "meta"],
};

/** Signing takes a CSR, so keys stay on the host. */
function sign(path: string): Rule {
  return { path, capabilities: write, limit: signLimit };
}

function read(path: string): Rule {
  return { path, capabilities: ["read"] };
}

const workerRules: readonly Rule[] = [
  sign("pki/k8s/sign/kubelet"),
  sign("pki/k8s/sign/kube-proxy"),
  sign("pki/etcd-overlay/sign/client"),
];

const rules: Readonly<Record<PolicyRole, readonly Rule[]>> = {
  etcd: [sign("pki/etcd-k8s/sign/server"), sign("pki/etcd-overlay/sign/server")],
  master: [
    sign("pki/etcd-k8s/sign/client"),
    read("secrets/service-accounts"),
    read("secrets/encryption-config"),
    sign("pki/k8s/sign/kube-apiserver"),
    sign("pki/k8s/sign/kube-scheduler"),
    sign("pki/k8s/sign/kube-controller-manager"),
    sign("pki/k8s/sign/admin"),
    sign("pki/k8s-api-proxy/sign/kube-apiserver"),
    // A master also runs a kubelet and a kube-proxy.
    ...workerRules,
  ],
  worker: workerRules,
};

/** A policy's name in lower case, as the server stores it. */
export function policyName(cluster: Cluster, name: string): string {
  return `${cluster.id}/${name}`.toLowerCase();
}

/** The policy of an init token. */
export function creatorPolicyName(cluster: Cluster, role: HostRole): string {
  return policyName(cluster, `${role}-creator`);
}

/** `demo-worker` */
export function tokenRoleName(cluster: Cluster, role: HostRole): string {
  return `${cluster.id}-${role}`;
}

/** The policies of hosts, then those of init tokens. */
export function policies(cluster: Cluster): readonly WantedPolicy[] {
  return [
    ...policyRoles.map((role) => ({
      name: policyName(cluster, role),
      text: policyText(
        rulesOf(cluster, role).map((rule) => ({ ...rule, path: `${cluster.id}/${rule.path}` })),
      ),
    })),
    ...hostRoles.map((role) => ({
      name: creatorPolicyName(cluster, role),
      text: policyText([
        {
          path: `auth/token/create/${tokenRoleName(cluster, role)}`,
          capabilities: write,
          limit: creatorLimit,
        },
      ]),
    })),
  ];
}

/**
 * The rules of a host role, the built-in ones first. A second rule for a path adds its capabilities and keeps the first
 * limit. The server would do the same: a rule without a limit does not remove one.
 */
function rulesOf({ pkiRoles, policyRules }: Cluster, role: PolicyRole): readonly Rule[] {
  const all = [
    ...rules[role],
    ...pkiRoles
      .filter(({ hosts }) => hosts.includes(role))
      .map(({ mount, name }) => further(`pki/${mount}/sign/${name}`, write)),
    ...policyRules
      .filter(({ hosts }) => hosts.includes(role))
      .map(({ path, capabilities }) => further(path, capabilities)),
  ];
  const granted = new Map<string, Rule>();
  for (const rule of all) {
    const { path, capabilities, limit } = granted.get(rule.path) ?? rule;
    granted.set(path, {
      path,
      capabilities: [...new Set([...capabilities, ...rule.capabilities])],
      limit: limit ?? rule.limit,
    });
  }
  return [...granted.values()];
}

/** A rule of the cluster file. */
function further(path: string, capabilities: readonly Capability[]): Rule {
  return { path, capabilities, limit: maySign(path, capabilities) ? furtherSignLimit : undefined };
}

/**
 * Whether a rule can have a certificate signed, in one of the cluster's PKI mounts or in a mount that an admin made
 * below the cluster's path. Everything below `secrets/` is in one mount that does not sign.
 */
function maySign(path: string, capabilities: readonly Capability[]): boolean {
  const writes = capabilities.some((it) => it !== "read" && it !== "list");
  const signs = path.endsWith("*") || path.split("/").some((it) => /^(sign|issue)/.test(it));
  return writes && signs && !path.startsWith("secrets/");
}

/**
 * Refuses a cluster whose id differs from another one's only in capitals: both would have the same policies.
 *
 * @param mounts paths of all mounts in the server
 * @throws Failure (config) if the other cluster exists
 */
export function refuseNamesake(cluster: Cluster, mounts: Iterable<string>): void {
  const { id } = cluster;
  const own = [...pkiMounts(cluster), secretsMount(cluster)].map(({ path }) => path.toLowerCase());
  const otherMount = [...mounts].find(
    (path) => !path.startsWith(`${id}/`) && own.includes(path.toLowerCase()),
  );
  if (otherMount === undefined) return;
  const other = otherMount.slice(0, id.length);
  throw new Failure(
    "config",
    `clusters ${id} and ${other} would share their policies, since policy names have no capitals`,
    { hint: "nothing was changed; choose another cluster id" },
  );
}

/** Writes rules in HCL, the server's language for policies. */
export function policyText(itsRules: ReadonlyArray<Right & { readonly limit?: Limit | undefined }>): string {
  const quoted = (names: readonly string[]) => names.map((name) => `"${name}"`).join(", ");
  return itsRules
    .map(({ path, capabilities, limit }) => {
      const names = limit?.names.map((name) => `"${name}" = []`).join(", ");
      const line = limit === undefined ? "" : `  ${limit.parameters} = { ${names} }\n`;
      return `path "${path}" {\n  capabilities = [${quoted(capabilities)}]\n${line}}\n`;
    })
    .join("\n");
}
