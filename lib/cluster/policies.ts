import { ExitCode, Failure } from "../failure.ts";
import {
  type Capability,
  type Cluster,
  type HostRole,
  hostRoles,
  type PolicyRole,
  policyRoles,
} from "./cluster.ts";
import { pkiMounts, secretsMount } from "./mounts.ts";

export interface WantedPolicy {
  readonly name: string;
  /** In the server's language for policies. */
  readonly text: string;
}

type Rule = readonly [path: string, ...capabilities: Capability[]];

/** Paths below the cluster's own. A role's `sign` takes a CSR; keys stay on the host. */
const workerRules: readonly Rule[] = [
  ["pki/k8s/sign/kubelet", "create", "read", "update"],
  ["pki/k8s/sign/kube-proxy", "create", "read", "update"],
  ["pki/etcd-overlay/sign/client", "create", "read", "update"],
];

const rules: Readonly<Record<PolicyRole, readonly Rule[]>> = {
  etcd: [
    ["pki/etcd-k8s/sign/server", "create", "read", "update"],
    ["pki/etcd-overlay/sign/server", "create", "read", "update"],
  ],
  master: [
    ["pki/etcd-k8s/sign/client", "create", "read", "update"],
    ["secrets/service-accounts", "read"],
    ["secrets/encryption-config", "read"],
    ["pki/k8s/sign/kube-apiserver", "create", "read", "update"],
    ["pki/k8s/sign/kube-scheduler", "create", "read", "update"],
    ["pki/k8s/sign/kube-controller-manager", "create", "read", "update"],
    ["pki/k8s/sign/admin", "create", "read", "update"],
    ["pki/k8s-api-proxy/sign/kube-apiserver", "create", "read", "update"],
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
        rulesOf(cluster, role).map(([path, ...can]): Rule => [`${cluster.id}/${path}`, ...can]),
      ),
    })),
    ...hostRoles.map((role) => ({
      name: creatorPolicyName(cluster, role),
      text: policyText([[`auth/token/create/${tokenRoleName(cluster, role)}`, "create", "read", "update"]]),
    })),
  ];
}

/** Those that every cluster has come first; what another rule grants on the same path is added to it. */
function rulesOf({ pkiRoles, policyRules }: Cluster, role: PolicyRole): readonly Rule[] {
  const all = [
    ...rules[role],
    ...pkiRoles
      .filter(({ hosts }) => hosts.includes(role))
      .map(({ mount, name }): Rule => [`pki/${mount}/sign/${name}`, "create", "read", "update"]),
    ...policyRules
      .filter(({ hosts }) => hosts.includes(role))
      .map(({ path, capabilities }): Rule => [path, ...capabilities]),
  ];
  const granted = new Map<string, Set<Capability>>();
  for (const [path, ...can] of all) granted.set(path, new Set([...(granted.get(path) ?? []), ...can]));
  return [...granted].map(([path, can]): Rule => [path, ...can]);
}

/**
 * Two clusters whose ids differ in a capital alone would have the same policies.
 *
 * @param mounts paths of all mounts of the server
 * @throws Failure (configuration) where the other stands
 */
export function refuseNamesake(cluster: Cluster, mounts: Iterable<string>): void {
  const { id } = cluster;
  const own = [...pkiMounts(cluster), secretsMount(cluster)].map(({ path }) => path.toLowerCase());
  const its = [...mounts].find((path) => !path.startsWith(`${id}/`) && own.includes(path.toLowerCase()));
  if (its === undefined) return;
  const other = its.slice(0, id.length);
  throw new Failure(
    ExitCode.config,
    `clusters ${id} and ${other} would share their policies, whose names have no capitals`,
    { hint: "nothing was changed; choose another cluster id" },
  );
}

function policyText(itsRules: readonly Rule[]): string {
  return itsRules
    .map(([path, ...can]) => {
      const list = can.map((name) => `"${name}"`).join(", ");
      return `path "${path}" {\n  capabilities = [${list}]\n}\n`;
    })
    .join("\n");
}
