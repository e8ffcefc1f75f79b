import { type Cluster, type HostRole, hostRoles } from "./cluster.ts";

export interface WantedPolicy {
  readonly name: string;
  /** In the server's language for policies. */
  readonly text: string;
}

type Capability = "create" | "read" | "update";
type Rule = readonly [path: string, ...capabilities: Capability[]];

/** Paths below the cluster's own. A role's `sign` takes a CSR; keys stay on the host. */
const workerRules: readonly Rule[] = [
  ["pki/k8s/sign/kubelet", "create", "read", "update"],
  ["pki/k8s/sign/kube-proxy", "create", "read", "update"],
  ["pki/etcd-overlay/sign/client", "create", "read", "update"],
];

const rules: Readonly<Record<"etcd" | "master" | "worker", readonly Rule[]>> = {
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

/** The policy that lets an init token do its one thing. */
export function creatorPolicyName(cluster: Cluster, role: HostRole): string {
  return `${cluster.id}/${role}-creator`;
}

export function tokenRoleName(cluster: Cluster, role: HostRole): string {
  return `${cluster.id}-${role}`;
}

export function policies(cluster: Cluster): readonly WantedPolicy[] {
  return [
    ...Object.entries(rules).map(([name, itsRules]) => ({
      name: `${cluster.id}/${name}`,
      text: policyText(itsRules.map(([path, ...can]): Rule => [`${cluster.id}/${path}`, ...can])),
    })),
    ...hostRoles.map((role) => ({
      name: creatorPolicyName(cluster, role),
      text: policyText([[`auth/token/create/${tokenRoleName(cluster, role)}`, "create", "read", "update"]]),
    })),
  ];
}

function policyText(itsRules: readonly Rule[]): string {
  return itsRules
    .map(([path, ...can]) => {
      const list = can.map((name) => `"${name}"`).join(", ");
      return `path "${path}" {\n  capabilities = [${list}]\n}\n`;
    })
    .join("\n");
}
