import type { Cluster } from "./cluster.ts";
import { type PkiMountName, pkiMountNames } from "./mount-names.ts";

export interface WantedMount {
  readonly path: string;
  readonly type: "pki" | "generic";
  readonly description: string;
  /** Default and max lease TTL; zero leaves both to the server. */
  readonly leaseTtlSeconds: number;
}

/** `demo/pki/k8s` */
export function pkiMountPath(cluster: Cluster, name: PkiMountName): string {
  return `${cluster.id}/pki/${name}`;
}

/** The name of a mount at the end of its path: `k8s` for `demo/pki/k8s`. */
export function mountName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

export function pkiMounts(cluster: Cluster): readonly WantedMount[] {
  return pkiMountNames.map((name) => ({
    path: pkiMountPath(cluster, name),
    type: "pki",
    // Also the common name of its CA.
    description: `Kubernetes ${cluster.id}/${name} CA`,
    leaseTtlSeconds: cluster.caValiditySeconds,
  }));
}

/** The mount for the service account key, the encryption config and the init tokens. */
export function secretsMount(cluster: Cluster): WantedMount {
  return {
    path: `${cluster.id}/secrets`,
    type: "generic",
    description: `Kubernetes ${cluster.id} secrets`,
    leaseTtlSeconds: 0,
  };
}
