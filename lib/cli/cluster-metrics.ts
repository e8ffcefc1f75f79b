import type { ClusterStatus } from "../cluster/cluster-status.ts";
import type { IssuerStatus } from "../cluster/issuer-status.ts";
import { type Labels, type Metric, metric, number, type Sample, stateSet, time } from "./metrics.ts";

/**
 * A cluster's status as metrics. Their names differ from those of a host, so that one collector can read the files of
 * both. An unknown value has no sample.
 */
export function clusterMetrics({ id: cluster, state, now, mounts }: ClusterStatus): readonly Metric[] {
  const issuer = (what: string, help: string, samples: (one: IssuerStatus, labels: Labels) => Sample[]) =>
    metric(
      `issuer_${what}`,
      help,
      mounts.flatMap(({ issuers }) =>
        issuers.flatMap((one) => samples(one, { cluster, mount: one.mount, issuer: one.id, name: one.name })),
      ),
    );
  return [
    metric(
      "cluster_status",
      "Whether this is the worst state of anything of the cluster.",
      stateSet(state, { cluster }),
    ),
    metric(
      "cluster_status_timestamp_seconds",
      "When the status of the cluster was taken.",
      time(now, { cluster }),
    ),
    metric(
      "mount_status",
      "Whether this is the state of the mount.",
      mounts.flatMap(({ path, state }) => stateSet(state, { cluster, mount: path })),
    ),
    issuer("status", "Whether this is the state of the issuer.", ({ state }, labels) =>
      stateSet(state, labels),
    ),
    issuer("not_before_timestamp_seconds", "When the issuer begins.", ({ notBefore }, labels) =>
      time(notBefore, labels),
    ),
    issuer("not_after_timestamp_seconds", "When the issuer expires.", ({ notAfter }, labels) =>
      time(notAfter, labels),
    ),
    issuer(
      "due_timestamp_seconds",
      "When the issuer is due; absent if no role signs with it.",
      ({ dueAt }, labels) => time(dueAt, labels),
    ),
    metric(
      "ca_certificates_in_use",
      "Certificates of the CA that have neither expired nor been revoked, while its mount is being rotated.",
      mounts.flatMap(({ path, cas }) =>
        cas.flatMap(({ name, keyId, certificatesInUse }) =>
          number(certificatesInUse, { cluster, mount: path, ca: name, key: keyId }),
        ),
      ),
    ),
    metric(
      "rotation_ready_timestamp_seconds",
      "From when the older CA of the mount can be retired; absent if there is none, or if an admin has to act first.",
      mounts.flatMap(({ path, rotation }) => time(rotation?.readyAt, { cluster, mount: path })),
    ),
  ];
}
