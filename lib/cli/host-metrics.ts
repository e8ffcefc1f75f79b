import { version } from "../../package.json";
import type { CertificateStatus } from "../renewal/status.ts";
import type { HostStatus } from "../tasks/host-status.ts";
import { flag, type Labels, type Metric, metric, number, type Sample, stateSet, time } from "./metrics.ts";

/** A host's status as metrics. An unknown value has no sample. No label holds a secret or a token's accessor. */
export function hostMetrics(status: HostStatus): readonly Metric[] {
  const { server, clock, token, certificates, hooks, units, manifests, now } = status;
  const each = (value: (one: CertificateStatus) => readonly Sample[]) => certificates.flatMap(value);
  const certificate = (what: string, help: string, samples: readonly Sample[]) =>
    metric(`certificate_${what}`, help, samples);
  return [
    metric("build_info", "The version of the executable that wrote this; always 1.", [
      { labels: { version }, value: 1 },
    ]),
    metric("status", "Whether this is the worst state of anything on this host.", stateSet(status.state)),
    metric("status_timestamp_seconds", "When this status was taken.", time(now)),
    metric(
      "server_up",
      "Whether the server answered.",
      server.state === "unknown" ? [] : flag(server.state === "ok"),
    ),
    metric(
      "server_clock_ahead_seconds",
      "How far the server's clock is ahead of this host's.",
      number(clock.aheadSeconds),
    ),
    metric("token_status", "Whether this is the state of the host token.", stateSet(token.state)),
    metric(
      "token_expiry_timestamp_seconds",
      "When the host token expires; absent if it never does.",
      time(token.expiresAt),
    ),
    metric("token_init_waiting", "Whether an init token waits to be exchanged.", flag(token.initTokenWaits)),
    certificate(
      "status",
      "Whether this is the state of the certificate.",
      each((one) => stateSet(one.state, labelsOf(one))),
    ),
    certificate("info", "Who the certificate is for, and who signed it; always 1.", each(infoOf)),
    certificate(
      "not_before_timestamp_seconds",
      "When the certificate begins.",
      each((one) => time(one.certificate?.notBefore, labelsOf(one))),
    ),
    certificate(
      "not_after_timestamp_seconds",
      "When the certificate expires.",
      each((one) => time(one.certificate?.notAfter, labelsOf(one))),
    ),
    certificate(
      "due_timestamp_seconds",
      "When the certificate is due for renewal.",
      each((one) => time(one.dueAt, labelsOf(one))),
    ),
    metric("manifests_broken", "Manifests that can't be used.", number(manifests.length)),
    metric(
      "sandbox_faults",
      "Paths that a unit needs but its sandbox does not allow.",
      number(status.sandbox.length),
    ),
    metric(
      "hooks_pending",
      "Hooks that have not succeeded since their certificate changed.",
      number(hooks.length),
    ),
    metric(
      "unit_status",
      "Whether this is the state of the unit.",
      units.flatMap(({ unit, state }) => stateSet(state, { unit })),
    ),
    metric(
      "unit_last_run_timestamp_seconds",
      "When the unit ran last.",
      units.flatMap(({ unit, lastRunAt }) => time(lastRunAt, { unit })),
    ),
    metric(
      "unit_next_run_timestamp_seconds",
      "When the timer runs next.",
      units.flatMap(({ unit, nextRunAt }) => time(nextRunAt, { unit })),
    ),
  ];
}

function labelsOf({ name, destination }: CertificateStatus): Labels {
  return { name, path: destination };
}

function infoOf(one: CertificateStatus): Sample[] {
  const { certificate, issuer = "", keyType = "" } = one;
  if (certificate === undefined) return [];
  const about = { subject: certificate.commonName, issuer, key_type: keyType };
  return [{ labels: { ...labelsOf(one), ...about }, value: 1 }];
}
