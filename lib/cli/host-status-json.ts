import type { Finding } from "../finding.ts";
import type { CertificateStatus } from "../renewal/status.ts";
import type { HostStatus } from "../tasks/host-status.ts";
import type { UnitStatus } from "../tasks/host-status-units.ts";
import { actionText } from "./action.ts";

/**
 * A host's status for machines. No field is ever missing: null means unknown or none. Times are ISO 8601; fields that
 * end in `InSeconds` count from `time`. Later releases may add fields, but remove and change none.
 */
export function hostStatusJson(status: HostStatus): Readonly<Record<string, unknown>> {
  const { server, clock, token, now } = status;
  return {
    state: status.state,
    time: now,
    host: status.host,
    server: { ...findingJson(server), address: server.address ?? null },
    clock: { ...findingJson(clock), serverAheadSeconds: clock.aheadSeconds ?? null },
    token: {
      ...findingJson(token),
      path: token.path,
      initTokenWaits: token.initTokenWaits,
      accessor: token.accessor ?? null,
      policies: token.policies ?? null,
      renewable: token.renewable ?? null,
      ...momentJson("expires", token.expiresAt, now),
      ...momentJson("due", token.dueAt, now),
    },
    certificates: status.certificates.map((one) => certificateJson(one, status)),
    manifests: [...status.manifests, ...status.unrun].map(findingJson),
    sandbox: status.sandbox.map(({ path, units, manifests, ...finding }) => ({
      ...findingJson(finding),
      path,
      units,
      manifests,
    })),
    hooks: status.hooks.map((hook) => ({ ...findingJson(hook), hook: hook.hook, manifests: hook.manifests })),
    units: status.units.map((unit) => unitJson(unit, now)),
    config: status.config.map(findingJson),
    permission: status.permission.map(findingJson),
  };
}

/** The fields that every kind of finding has. */
export function findingJson({ state, reasons, fix }: Finding) {
  return { state, reasons, mend: fix === undefined ? null : actionText(fix) };
}

/** Such as `expiresAt` and `expiresInSeconds`. Seconds are negative for a time in the past. */
function momentJson(name: string, date: Date | undefined, now: Date): Readonly<Record<string, unknown>> {
  return {
    [`${name}At`]: date ?? null,
    [`${name}InSeconds`]: date === undefined ? null : Math.floor((date.getTime() - now.getTime()) / 1000),
  };
}

function certificateJson(one: CertificateStatus, { now, hooks, timers }: HostStatus) {
  const { name, certificate } = one;
  return {
    ...findingJson(one),
    name,
    destination: one.destination,
    manifest: one.manifest ?? null,
    signPath: one.signPath ?? null,
    commonName: certificate?.commonName ?? null,
    organisations: certificate?.organisations ?? [],
    dnsNames: one.dnsNames,
    ipAddresses: one.ipAddresses,
    issuer: one.issuer ?? null,
    serialNumber: certificate?.x509.serialNumber.toLowerCase() ?? null,
    keyType: one.keyType ?? null,
    notBefore: certificate?.notBefore ?? null,
    ...momentJson("expires", certificate?.notAfter, now),
    ...momentJson("due", one.dueAt, now),
    replacedAt: one.replacedAt ?? null,
    keyMatches: one.keyMatches ?? null,
    caMatches: one.caMatches ?? null,
    caOnServer: one.caOnServer,
    timer: timers.get(one.manifest ?? "") ?? null,
    hookPending: one.manifest !== undefined && hooks.some(({ manifests }) => manifests.includes(name)),
  };
}

function unitJson(unit: UnitStatus, now: Date) {
  return {
    ...findingJson(unit),
    unit: unit.unit,
    lastRunAt: unit.lastRunAt ?? null,
    exitCode: unit.exitCode ?? null,
    ...momentJson("nextRun", unit.nextRunAt, now),
  };
}
