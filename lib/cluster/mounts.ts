import type { Cluster } from "./cluster.ts";
import { type PkiMountName, pkiMountNames } from "./mount-names.ts";

export interface WantedMount {
  readonly path: string;
  readonly type: "pki" | "generic";
  readonly description: string;
  /** Of the default and of the maximum lease; zero leaves both to the server. */
  readonly leaseTtlSeconds: number;
}

/** `demo/pki/k8s` */
export function pkiMountPath(cluster: Cluster, name: PkiMountName): string {
  return `${cluster.id}/pki/${name}`;
}

export function pkiMounts(cluster: Cluster): readonly WantedMount[] {
  return pkiMountNames.map((name) => ({
    path: pkiMountPath(cluster, name),
    type: "pki",
    // The common name of its CA, too.
    description: `Kubernetes ${cluster.id}/${name} CA`,
    leaseTtlSeconds: cluster.caValiditySeconds,
  }));
}

/** Where service account key, encryption config and init tokens are kept. */
export function secretsMount(cluster: Cluster): WantedMount {
  return {
    path: `${cluster.id}/secrets`,
    type: "generic",
    description: `Kubernetes ${cluster.id} secrets`,
    leaseTtlSeconds: 0,
  };
}
