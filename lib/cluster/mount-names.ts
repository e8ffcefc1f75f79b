/** The PKI mounts of a cluster below `<cluster>/pki/`, each with its own CA. */
export const pkiMountNames = ["etcd-k8s", "etcd-overlay", "k8s", "k8s-api-proxy"] as const;
export type PkiMountName = (typeof pkiMountNames)[number];
