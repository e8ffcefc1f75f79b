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
  /** In the server's language for policies. */
  readonly text: string;
}

interface Rule {
  /** Below the cluster's own. */
  readonly path: string;
  readonly capabilities: readonly Capability[];
  /** Which parameters of a request it takes. @default all */
  readonly limit?: Limit | undefined;
}

/** The only parameters of a request that a rule takes, or the ones that it refuses; the server's names. */
interface Limit {
  readonly parameters: "allowed_parameters" | "denied_parameters";
  readonly names: readonly string[];
}

const write: readonly Capability[] = ["create", "read", "update"];

/**
 * The server holds a request to its role's `max_ttl` by `ttl` alone: `not_after` may lie beyond it. What limits each
 * parameter is in docs/security-parameters.md.
 *
 * @see https://developer.hashicorp.com/vault/docs/concepts/policies#parameter-constraints
 */
const signLimit: Limit = {
  parameters: "allowed_parameters",
  names: ["csr", "common_name", "alt_names", "ip_sans", "ttl"],
};
const furtherSignLimit: Limit = { parameters: "denied_parameters", names: ["not_after"] };

/** Not `type`, by which a token could be one that nobody can revoke. */
const creatorLimit: Limit = {
  parameters: "allowed_parameters",
  names: ["display_name", "num_uses", "meta"],
};

/** A role's `sign` takes a CSR; keys stay on the host. */
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
    // A master runs a kubelet and a proxy, too.
    ...workerRules,
  ],
  worker: workerRules,
};

/** As the server keeps it, which makes small letters of a policy's name. */
export function policyName(cluster: Cluster, name: string): string {
  return `${cluster.id}/${name}`.toLowerCase();
}

/** The policy that lets an init token do its one thing. */
export function creatorPolicyName(cluster: Cluster, role: HostRole): string {
  return policyName(cluster, `${role}-creator`);
}

/** `demo-worker` */
export function tokenRoleName(cluster: Cluster, role: HostRole): string {
  return `${cluster.id}-${role}`;
}

/** What hosts of each role may do, then what each role's init token may. */
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
 * The built-in rules come first. Another rule for the same path adds its capabilities, and the first limit stays, as in
 * the server: there a rule without a limit takes none away.
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

/** A rule of the cluster's file. */
function further(path: string, capabilities: readonly Capability[]): Rule {
  return { path, capabilities, limit: maySign(path, capabilities) ? furtherSignLimit : undefined };
}

/**
 * Whether a rule can have a certificate signed: in the cluster's own PKI mounts, or in another that an admin has made
 * below the cluster's name. Everything below `secrets/` is in one mount, which signs nothing.
 */
function maySign(path: string, capabilities: readonly Capability[]): boolean {
  const writes = capabilities.some((it) => it !== "read" && it !== "list");
  const signs = path.endsWith("*") || path.split("/").some((it) => /^(sign|issue)/.test(it));
  return writes && signs && !path.startsWith("secrets/");
}

/**
 * Two clusters whose ids differ in a capital alone would have the same policies.
 *
 * @param mounts paths of all mounts of the server
 * @throws Failure (config) where the other stands
 */
export function refuseNamesake(cluster: Cluster, mounts: Iterable<string>): void {
  const { id } = cluster;
  const own = [...pkiMounts(cluster), secretsMount(cluster)].map(({ path }) => path.toLowerCase());
  const its = [...mounts].find((path) => !path.startsWith(`${id}/`) && own.includes(path.toLowerCase()));
  if (its === undefined) return;
  const other = its.slice(0, id.length);
  throw new Failure(
    "config",
    `clusters ${id} and ${other} would share their policies, whose names have no capitals`,
    { hint: "nothing was changed; choose another cluster id" },
  );
}

/** Rules in the server's language for policies, HCL. */
export function policyText(itsRules: ReadonlyArray<Right & { readonly limit?: Limit | undefined }>): string {
  const texts = (names: readonly string[]) => names.map((name) => `"${name}"`).join(", ");
  return itsRules
    .map(({ path, capabilities, limit }) => {
      const names = limit?.names.map((name) => `"${name}" = []`).join(", ");
      const line = limit === undefined ? "" : `  ${limit.parameters} = { ${names} }\n`;
      return `path "${path}" {\n  capabilities = [${texts(capabilities)}]\n${line}}\n`;
    })
    .join("\n");
}
