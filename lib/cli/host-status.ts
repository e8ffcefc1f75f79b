import { isAbsolute, resolve } from "node:path";
import { formatDuration, formatMinute } from "../duration.ts";
import { Failure } from "../failure.ts";
import type { Finding } from "../finding.ts";
import { certificatePaths } from "../host/certificate-place.ts";
import { printable } from "../host/file-error.ts";
import type { CertificateStatus } from "../renewal/status.ts";
import { type HostStatus, hostStatus } from "../tasks/host-status.ts";
import type { NamedFile } from "../tasks/host-status-sandbox.ts";
import type { TokenStatus } from "../tasks/host-status-token.ts";
import type { UnitStatus } from "../tasks/host-status-units.ts";
import { actionTexts } from "./action.ts";
import { painter } from "./colour.ts";
import { addVariables, readConfigFile } from "./config-file.ts";
import { credentialsPath } from "./environment.ts";
import { type ExitCode, failureKindOf } from "./exit-code.ts";
import { hostMetrics } from "./host-metrics.ts";
import { hostStatusJson } from "./host-status-json.ts";
import { printJson } from "./log.ts";
import { checkMetricsPath, renderMetrics, writeMetrics } from "./metrics.ts";
import type { Run } from "./script.ts";
import { countStates, exitCodes, moment, type StatusRow, statusTable } from "./status-table.ts";
import { type ValidityArgs, validityArgs } from "./validity-args.ts";
import { variableName } from "./variable.ts";

export interface HostStatusArgs {
  readonly "config-path": string;
  readonly "config-dir": string;
  readonly destination?: string | undefined;
  readonly prometheus?: string | undefined;
  readonly offline?: boolean | undefined;
  readonly json?: boolean | undefined;
}

/** The folder of a host's manifests. A host without manifests has no such folder. */
export const defaultConfigDir = "/etc/vault/certs.d";

/**
 * Prints the status of this host. Changes nothing on it; only the metrics' file is written.
 *
 * @returns the exit code for the worst state found
 * @throws Failure (usage); (file) when the metrics' file can't be written
 */
export async function runHostStatus(args: HostStatusArgs & ValidityArgs, run: Run): Promise<ExitCode> {
  refuseClusterFlags(args);
  const destinations = args.destination?.split(",").map((path) => path.trim()) ?? [];
  for (const destination of destinations) certificatePaths(destination);
  const { prometheus } = args;
  checkMetricsPath(prometheus);
  const config = readConfigFile(args["config-path"], run.env);
  addVariables(config, run);
  const status = await hostStatus({
    connect: args.offline === true ? undefined : () => run.client(),
    configPath: args["config-path"],
    credentialsPath: credentialsPath(run.env),
    configDir: args["config-dir"],
    isConfigDirOptional: args["config-dir"] === defaultConfigDir,
    destinations,
    namedFiles: namedFiles(args["config-path"]),
    configFailure: config.failure,
    failureKindOf,
  });
  if (prometheus !== undefined) writeMetrics(prometheus, renderMetrics(hostMetrics(status)));
  if (args.json === true) printJson(hostStatusJson(status), 2);
  else {
    for (const line of statusTable(rowsOf(status), painter(run.env), process.stdout.columns))
      run.log.done(line);
    run.log.done(summary(status));
  }
  return exitCodes[status.state];
}

/** The files that the units' own configuration names; this run's environment does not count. */
function namedFiles(configPath: string): NamedFile[] {
  // The units read no other configuration.
  if (resolve(configPath) !== "/etc/vault") return [];
  const { path, variables } = readConfigFile(configPath, {});
  const names = ["CACERT", "CAPATH", "CLIENT_CERT", "CLIENT_KEY"].map((name) =>
    variableName(variables, name),
  );
  const named = [...names, "SSL_CERT_FILE"].map((name) => ({ name, path: variables[name] ?? "" }));
  return [{ name: "configuration", path }, ...named].filter((file) => isAbsolute(file.path));
}

function refuseClusterFlags(args: ValidityArgs): void {
  const given = Object.entries(args).find(
    ([name, value]) => Object.hasOwn(validityArgs, name) && value !== undefined,
  );
  if (given === undefined) return;
  throw new Failure("usage", `--${given[0]} is for a cluster, not for a host`, {
    hint: "leave it out, or give the cluster's id",
  });
}

function rowsOf(status: HostStatus): StatusRow[] {
  const { server, clock, token, certificates, hooks, units, config, permission, now } = status;
  const plain = (what: string, finding: Finding, ...facts: string[]): StatusRow => ({
    ...finding,
    what,
    facts,
  });
  return [
    ...permission.map((finding) => plain("permission", finding)),
    ...config.map((finding) => plain("configuration", finding)),
    plain("server", server, ...(server.address === undefined ? [] : [server.address])),
    ...(clock.state === "unknown" ? [] : [plain("clock", clock, "same as the server's")]),
    tokenRow(token, now),
    ...[...status.manifests, ...status.unrun].map((finding) => plain("manifest", finding)),
    ...status.sandbox.map((finding) => plain("sandbox", finding)),
    ...certificates.map((one) => certificateRow(one, now)),
    ...hooks.map(({ hook, manifests, ...finding }) =>
      plain("hook", {
        ...finding,
        reasons: [`${hook} (for ${manifests.join(", ")}) ${finding.reasons.join("; ")}`],
      }),
    ),
    ...units.map((unit) => unitRow(unit)),
  ];
}

function tokenRow(token: TokenStatus, now: Date): StatusRow {
  const { accessor, policies, expiresAt, dueAt } = token;
  const left = expiresAt === undefined ? undefined : secondsUntil(expiresAt, now);
  // Every token has the policy `default`.
  const rights = (policies ?? []).filter((policy) => policy !== "default");
  return {
    ...token,
    what: "token",
    left: left === undefined ? (accessor === undefined ? undefined : "no end") : formatDuration(left),
    due: dueAt && moment(dueAt, now),
    facts: accessor === undefined ? [] : [`accessor ${accessor} (${rights.join(" ")})`],
    urgency: left,
  };
}

function certificateRow(one: CertificateStatus, now: Date): StatusRow {
  const { name, certificate, dnsNames, ipAddresses, keyType, issuer, dueAt, replacedAt, fix } = one;
  const what = `certificate ${printable(name)}`;
  if (certificate === undefined) return { ...one, what, facts: [], urgency: 0 };
  const { commonName, organisations, notAfter } = certificate;
  const left = secondsUntil(notAfter, now);
  const names = [...dnsNames, ...ipAddresses].filter((it) => it !== commonName);
  const due = fix === undefined ? (replacedAt ?? dueAt) : now;
  return {
    ...one,
    what,
    left: left <= 0 ? "expired" : formatDuration(left),
    due: due && moment(due, now),
    facts: [
      organisations.length === 0 ? commonName : `${commonName} (${organisations.join(", ")})`,
      ...(keyType === undefined ? [] : [keyType]),
      `by ${issuer}`,
      ...(names.length === 0 ? [] : [`for ${names.join(" ")}`]),
    ],
    urgency: left,
  };
}

function unitRow(unit: UnitStatus): StatusRow {
  const { lastRunAt, nextRunAt, state } = unit;
  const lastRun = lastRunAt === undefined ? "has not run yet" : `last run ${formatMinute(lastRunAt)}`;
  return {
    ...unit,
    what: unit.unit,
    due: nextRunAt && formatMinute(nextRunAt),
    facts: state === "unknown" ? [] : [lastRun],
  };
}

function secondsUntil(date: Date, now: Date): number {
  return (date.getTime() - now.getTime()) / 1000;
}

const shownCommands = 3;

/** `1 wrong, 2 due, 6 ok; to fix it: issue-cert --config-dir /etc/vault/certs.d` */
function summary(status: HostStatus): string {
  const rows = rowsOf(status);
  const all = [status.token, ...status.sandbox, ...status.certificates, ...status.hooks, ...status.units];
  const commands = actionTexts(all.flatMap(({ fix }) => fix ?? []));
  const more =
    commands.length > shownCommands ? `; and ${commands.length - shownCommands} more, see --json` : "";
  const shown = commands.slice(0, shownCommands).join("; ");
  const fix = commands.length === 0 ? "" : `; to fix it: ${shown}${more}`;
  const none = rows.some(({ what }) => /^(certificate|manifest)/.test(what))
    ? ""
    : "; no certificate found: name those of direct calls with --destination";
  return countStates(rows) + fix + none;
}
