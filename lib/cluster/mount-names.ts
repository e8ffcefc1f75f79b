/** The PKI mounts of a cluster, each with a CA of its own, below `<cluster>/pki/`. */
export const pkiMountNames = ["etcd-k8s", "etcd-overlay", "k8s", "k8s-api-proxy"] as const;
export type PkiMountName = (typeof pkiMountNames)[number];
