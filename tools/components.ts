import type { PkiMountName } from "../lib/cluster/mount-names.ts";

/** What a component of a cluster does with a certificate or a secret. */
export interface Use {
  readonly component: string;
  /** Below the cluster's path, such as `pki/k8s/sign/kubelet` or `secrets/service-accounts`. */
  readonly path: string;
  /** The common name that the component has by convention, or an example of one. */
  readonly commonName?: string;
  /** What the component uses it for, with the options of the component. */
  readonly about: string;
}

/**
 * Which component needs which certificate or secret. This is for people who configure components; set-up does not read it.
 *
 * @see https://kubernetes.io/docs/setup/best-practices/certificates/
 * @see https://kubernetes.io/docs/reference/access-authn-authz/rbac/#core-component-roles
 */
export const uses: readonly Use[] = [
  {
    component: "etcd",
    path: "pki/etcd-k8s/sign/server",
    commonName: "etcd-1",
    about:
      "a member of kube-apiserver's etcd, for its clients (`--cert-file`) and its peers (`--peer-cert-file`)",
  },
  {
    component: "etcd",
    path: "pki/etcd-overlay/sign/server",
    commonName: "etcd-1",
    about: "a member of the network plugin's etcd, in the same way",
  },
  {
    component: "kube-apiserver",
    path: "pki/k8s/sign/kube-apiserver",
    commonName: "kube-apiserver",
    about:
      "its server certificate (`--tls-cert-file`), with its names and addresses as SANs. It may also be its client certificate for kubelets (`--kubelet-client-certificate`); its user then needs the ClusterRole `system:kubelet-api-admin`",
  },
  {
    component: "kube-apiserver",
    path: "pki/etcd-k8s/sign/client",
    commonName: "kube-apiserver",
    about: "its client certificate for etcd (`--etcd-certfile`)",
  },
  {
    component: "kube-apiserver",
    path: "pki/k8s-api-proxy/sign/kube-apiserver",
    commonName: "kube-apiserver-proxy",
    about:
      "its client certificate for API servers behind it (`--proxy-client-cert-file`, `--requestheader-allowed-names=kube-apiserver-proxy`)",
  },
  {
    component: "kube-apiserver",
    path: "secrets/service-accounts",
    about:
      "signs service accounts' tokens (`--service-account-signing-key-file`, `--service-account-key-file`)",
  },
  {
    component: "kube-apiserver",
    path: "secrets/encryption-config",
    about: "encrypts its data in etcd (`--encryption-provider-config`)",
  },
  {
    component: "kube-controller-manager",
    path: "pki/k8s/sign/kube-controller-manager",
    commonName: "system:kube-controller-manager",
    about: "its kubeconfig (`--kubeconfig`)",
  },
  {
    component: "kube-controller-manager",
    path: "secrets/service-accounts",
    about: "signs service accounts' tokens (`--service-account-private-key-file`)",
  },
  {
    component: "kube-scheduler",
    path: "pki/k8s/sign/kube-scheduler",
    commonName: "system:kube-scheduler",
    about: "its kubeconfig (`--kubeconfig`)",
  },
  {
    component: "kubelet",
    path: "pki/k8s/sign/kubelet",
    commonName: "system:node:node-1",
    about:
      "its kubeconfig (`--kubeconfig`); with SANs that the role allows, also its server certificate (`--tls-cert-file`)",
  },
  {
    component: "kube-proxy",
    path: "pki/k8s/sign/kube-proxy",
    commonName: "system:kube-proxy",
    about: "its kubeconfig",
  },
  {
    component: "network plugin",
    path: "pki/etcd-overlay/sign/client",
    commonName: "overlay",
    about: "its client certificate for its own etcd, if it keeps its data there",
  },
  {
    component: "kubectl",
    path: "pki/k8s/sign/admin",
    commonName: "admin",
    about: "an admin's kubeconfig: it may do everything in the cluster",
  },
];

/** The purpose of each mount's CA, and which components have to trust it. */
export const mountUses: Readonly<Record<PkiMountName, readonly [purpose: string, trustedBy: string]>> = {
  "etcd-k8s": [
    "kube-apiserver's etcd",
    "etcd (`--trusted-ca-file`, `--peer-trusted-ca-file`), kube-apiserver (`--etcd-cafile`)",
  ],
  "etcd-overlay": ["the network plugin's etcd", "that etcd, and the network plugin"],
  k8s: [
    "the API: its server, its users, kubelets",
    "kube-apiserver (`--client-ca-file`, `--kubelet-certificate-authority`), kubelet (`--client-ca-file`), every kubeconfig",
  ],
  "k8s-api-proxy": [
    "requests that kube-apiserver passes on to API servers behind it",
    "kube-apiserver (`--requestheader-client-ca-file`), which passes it on to them",
  ],
};
