import { type ClusterStatus, readClusterStatus } from "../cluster/cluster-status.ts";
import type { IssuerStatus } from "../cluster/issuer-status.ts";
import type { CaStatus, RotationStatus } from "../cluster/rotation-status.ts";
import { formatDay, formatDuration, formatMinute, formatMinuteFrom } from "../duration.ts";
import { Failure } from "../failure.ts";
import type { Finding } from "../finding.ts";
import { many } from "../words.ts";
import { actionTexts } from "./action.ts";
import { clusterOf } from "./cluster-args.ts";
import { clusterMetrics } from "./cluster-metrics.ts";
import { painter } from "./colour.ts";
import { adminToken } from "./environment.ts";
import type { ExitCode } from "./exit-code.ts";
import { defaultConfigDir, type HostStatusArgs } from "./host-status.ts";
import { findingJson } from "./host-status-json.ts";
import { printJson } from "./log.ts";
import { checkMetricsPath, renderMetrics, writeMetrics } from "./metrics.ts";
import { tellProgress } from "./progress.ts";
import { changeJson } from "./run-setup.ts";
import { hostArgs, type Run } from "./script.ts";
import { cell, countStates, exitCodes, moment, type StatusRow, statusTable } from "./status-table.ts";
import { tableLines } from "./table.ts";
import type { ValidityArgs } from "./validity-args.ts";

interface ClusterStatusArgs extends HostStatusArgs, ValidityArgs {
  readonly cluster: string | undefined;
  readonly config?: string | undefined;
}

/**
 * Prints the status of a cluster in the server, read with an admin's token. Changes nothing; only the metrics' file is
 * written.
 *
 * @returns the exit code for the worst state found
 * @throws Failure (usage) for an invalid id, (config) for an invalid file, (permission) without a token, (file) if the
 *   metrics' file can't be written; VaultError
 */
export async function runClusterStatus(
  args: ClusterStatusArgs,
  { log, env, client }: Run,
): Promise<ExitCode> {
  refuseHostFlags(args);
  const { prometheus } = args;
  checkMetricsPath(prometheus);
  const { cluster, ...choice } = clusterOf(args);
  const status = await readClusterStatus(client(adminToken(env)), cluster, choice, tellProgress(log));
  if (prometheus !== undefined) writeMetrics(prometheus, renderMetrics(clusterMetrics(status)));
  if (args.json === true) printJson(statusJson(status), 2);
  else {
    for (const line of statusTable(rowsOf(status), painter(env), process.stdout.columns)) log.done(line);
    for (const line of [...rotationLines(status), ...silentLines(status)]) log.done(line);
    log.done(summary(status));
  }
  return exitCodes[status.state];
}

/** The flags of a host's status, with their values when they are not given. */
const hostFlags: HostStatusArgs = {
  "config-dir": defaultConfigDir,
  "config-path": hostArgs["config-path"].default,
  destination: undefined,
  offline: undefined,
};

function refuseHostFlags(args: HostStatusArgs): void {
  const given = Object.entries(hostFlags).find(
    ([name, unset]) => (Object.entries(args).find(([it]) => it === name)?.[1] || undefined) !== unset,
  );
  if (given === undefined) return;
  throw new Failure("usage", `--${given[0]} is for a host, not for a cluster`, {
    hint: "leave it out, or leave the cluster out",
  });
}

/** The words for a half of the set-up that needs no change, by the file that it follows. */
const asItShould = {
  given: "as the file says",
  stored: "as its last file says",
  none: "nothing to change",
} as const;

function rowsOf({ mounts, setup, initTokens, hostTokens, now }: ClusterStatus): readonly StatusRow[] {
  return [
    ...mounts
      // A mount without a fault needs no row: its issuers have rows.
      .filter(({ state, issuers }) => state !== "ok" || issuers.length === 0)
      .map((it): StatusRow => ({ ...it, what: `mount ${it.path}`, facts: [] })),
    ...mounts.flatMap(({ issuers }) => issuers).map((it) => issuerRow(it, now)),
    ...mounts.flatMap(({ path, cas }) => cas.flatMap((ca) => caRow(path, ca))),
    ...setup.map((it): StatusRow => {
      const facts = it.state === "ok" ? [asItShould[it.file ?? "none"]] : [];
      return { ...it, what: it.half, facts };
    }),
    ...initTokens.map((it): StatusRow => {
      const { role, ttlSeconds: left, dueSeconds } = it;
      const end = left === 0 ? { left: "no end" } : ttlCells(left, now, dueSeconds);
      return { ...it, what: `init token ${role}`, ...end, facts: [] };
    }),
    ...hostTokens.map(({ role, count, soonestSeconds }): StatusRow => {
      const facts = [count === 0 ? "none" : `${count}${count === 1 ? "" : "; the first to expire"}`];
      const end = ttlCells(soonestSeconds, now);
      return { state: "ok", reasons: [], what: `tokens of ${role}`, ...end, facts };
    }),
  ];
}

function issuerRow(issuer: IssuerStatus, now: Date): StatusRow {
  const {
    mount,
    name,
    subject,
    isDefault,
    isCross,
    roles,
    notBefore,
    notAfter,
    leftSeconds,
    longestSeconds,
  } = issuer;
  const signs = longestSeconds === undefined ? [] : [`signs up to ${formatDuration(longestSeconds)}`];
  const isUnused = !isDefault && roles.length === 0;
  return {
    ...issuer,
    what: `issuer ${mount}${name === "" ? "" : ` ${name}`}`,
    left: leftSeconds <= 0 ? "expired" : formatDuration(leftSeconds),
    due: issuer.dueAt && moment(issuer.dueAt, now),
    facts: [
      isDefault
        ? "default"
        : isCross
          ? "cross certificate"
          : isUnused
            ? "no role signs with it"
            : "not the default",
      ...signs,
      `${formatDay(notBefore)} to ${formatDay(notAfter)}`,
      subject,
    ],
    // An issuer that no role uses may expire: nobody needs it.
    urgency: isUnused ? undefined : leftSeconds,
  };
}

/** A CA of a mount that is being rotated. */
function caRow(path: string, ca: CaStatus): readonly StatusRow[] {
  const { name, signs, certificatesInUse: count, lastEnd, leftSeconds } = ca;
  if (count === undefined) return [];
  const used = count === 0 ? "no certificate in use" : `${many(count, "certificate")} in use`;
  const until = lastEnd === undefined ? "" : `, the last until ${formatDay(lastEnd)}`;
  return [
    {
      state: "ok",
      reasons: [],
      what: `CA ${path} ${name}`,
      left: leftSeconds <= 0 ? "expired" : formatDuration(leftSeconds),
      facts: [`${signs ? "signs" : "no longer signs"}; ${used}${until}`],
    },
  ];
}

/**
 * @param left seconds
 * @param dueSeconds until the token is due
 */
function ttlCells(left: number | undefined, now: Date, dueSeconds?: number) {
  if (left === undefined) return {};
  const due = dueSeconds === undefined ? undefined : new Date(now.getTime() + dueSeconds * 1000);
  return { left: formatDuration(left), due: due && moment(due, now), urgency: left };
}

/** What is left to do for each mount that is being rotated. */
function rotationLines({ mounts, now }: ClusterStatus): readonly string[] {
  return mounts.flatMap(({ path, rotation }) => {
    if (rotation === undefined) return [];
    const { next, readyAt, holds } = rotation;
    const when =
      readyAt === undefined ? "" : readyAt <= now ? ", now" : `, from ${formatMinuteFrom(readyAt)} UTC`;
    // Names of roles are in some of them.
    return [`${path} is being rotated; next: ${next}${when}`, ...holds.map((it) => `  ${it}`)].map(cell);
  });
}

/** Hosts that have stopped renewing their tokens. Others chose their names, so `cell` makes those safe to print. */
function silentLines({ silentHosts, now }: ClusterStatus): readonly string[] {
  const { count, unnamed, latest } = silentHosts;
  if (count === 0) return [];
  const none = unnamed === 0 ? "" : `, ${unnamed} of them without a name`;
  const shown =
    latest.length === 0 ? "" : latest.length < count - unnamed ? `; the latest ${latest.length}:` : ":";
  return [
    `${many(count, "host token")} not renewed for three days${none}${shown}`,
    ...tableLines(
      latest.map(({ host, role, renewedAt }) => [
        cell(host),
        role,
        `${formatMinute(renewedAt)} UTC, ${formatDuration((now.getTime() - renewedAt.getTime()) / 1000)} ago`,
      ]),
      "  ",
    ),
  ];
}

/** `demo: 1 wrong, 2 due, 12 ok; to fix it: write-roles demo` */
function summary(status: ClusterStatus): string {
  const texts = actionTexts(findings(status).flatMap(({ fix }) => fix ?? []));
  const fix = texts.length === 0 ? "" : `; to fix it: ${texts.join("; ")}`;
  return `${status.id}: ${countStates(rowsOf(status))}${fix}`;
}

function findings({ mounts, setup, initTokens }: ClusterStatus): readonly Finding[] {
  return [...mounts, ...mounts.flatMap(({ issuers }) => issuers), ...setup, ...initTokens];
}

/** A cluster's status for machines. No field is ever missing: null means unknown or none. Times are ISO 8601. */
function statusJson(status: ClusterStatus) {
  const { id, state, now, mounts, setup, initTokens, hostTokens, silentHosts } = status;
  return {
    cluster: id,
    state,
    time: now,
    mounts: mounts.map(({ issuers, path, cas, rotation, ...finding }) => ({
      path,
      ...findingJson(finding),
      issuers: issuers.map(issuerJson),
      cas: cas.map(caJson),
      rotation: rotation === undefined ? null : rotationJson(rotation),
    })),
    setup: setup.map(({ half, changes, file, ...finding }) => ({
      half,
      file: file ?? null,
      ...findingJson(finding),
      changes: changes.map(changeJson),
    })),
    initTokens: initTokens.map(({ role, ttlSeconds, lifetimeSeconds, ...finding }) => ({
      role,
      ...findingJson(finding),
      ttlSeconds: ttlSeconds ?? null,
      lifeSeconds: lifetimeSeconds ?? null,
    })),
    hostTokens: hostTokens.map(({ role, count, soonestSeconds }) => ({
      role,
      count,
      soonestEndSeconds: soonestSeconds ?? null,
    })),
    silentHosts,
  };
}

function caJson({ certificatesInUse, lastEnd, leftSeconds, ...ca }: CaStatus) {
  return {
    ...ca,
    leftSeconds: Math.floor(leftSeconds),
    certificatesInUse: certificatesInUse ?? null,
    lastEnd: lastEnd ?? null,
  };
}

function rotationJson({ next, readyAt, holds }: RotationStatus) {
  return { next, readyAt: readyAt ?? null, holds };
}

function issuerJson(issuer: IssuerStatus) {
  const { id, name, subject, isDefault, notBefore, notAfter, dueAt, leftSeconds, longestSeconds } = issuer;
  return {
    id,
    name,
    subject,
    isDefault,
    isCross: issuer.isCross,
    ...findingJson(issuer),
    notBefore,
    notAfter,
    leftSeconds: Math.floor(leftSeconds),
    dueAt: dueAt ?? null,
    longestCertificateSeconds: longestSeconds === undefined ? null : Math.floor(longestSeconds),
    roles: issuer.roles,
  };
}
