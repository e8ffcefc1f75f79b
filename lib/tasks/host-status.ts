import { readdirSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { Failure, type FailureKind } from "../failure.ts";
import { type Finding, type State, worstState } from "../finding.ts";
import { errorCode, isDenied, printable } from "../host/file-error.ts";
import { loadManifests } from "../manifest/load.ts";
import type { Manifest } from "../manifest/manifest.ts";
import {
  type CertificateStatus,
  caQuestion,
  certificateStatus,
  readWanted,
  type WantedCertificate,
} from "../renewal/status.ts";
import type { VaultClient } from "../vault/client.ts";
import { type HookResult, pendingHooks } from "./hooks.ts";
import { isCauseGone } from "./host-status-cause.ts";
import { checkSandboxes, type NamedFile, type SandboxFinding } from "./host-status-sandbox.ts";
import { askServer, type ClockStatus, type ServerStatus } from "./host-status-server.ts";
import {
  type HeldTokens,
  heldToken,
  readTokens,
  type TokenStatus,
  tokenStatus,
} from "./host-status-token.ts";
import { type UnitStatus, unitStatuses } from "./host-status-units.ts";
import { readHostUnits, timerOf } from "./host-units.ts";

export interface HostStatusOptions {
  /** Undefined asks no server. */
  readonly connect: (() => VaultClient) | undefined;
  readonly configPath: string;
  /** The folder of the unit's credentials, which may hold the init token. */
  readonly credentialsPath?: string | undefined;
  readonly configDir: string;
  /** A host without manifests has no such folder. */
  readonly isConfigDirOptional: boolean;
  /** The destinations of certificates without a manifest. */
  readonly destinations: readonly string[];
  /** Files that are named in the host's file of variables, such as the CA. */
  readonly namedFiles?: readonly NamedFile[] | undefined;
  /** Why the host's file of variables is not used. */
  readonly configFailure?: Failure | undefined;
  /** The kind of failure that a unit's exit code stands for. */
  readonly failureKindOf: (exitCode: number) => FailureKind | undefined;
}

/** A hook that has not succeeded since its certificate changed. */
interface HookStatus extends Finding {
  readonly hook: string;
  readonly manifests: readonly string[];
}

/** All that is known of a host. */
export interface HostStatus {
  /** The worst of all below. */
  readonly state: State;
  readonly host: string;
  /** By the server's clock, if this host's clock is wrong. */
  readonly now: Date;
  readonly server: ServerStatus;
  readonly clock: ClockStatus;
  readonly token: TokenStatus;
  readonly certificates: readonly CertificateStatus[];
  /** Each manifest that is broken or whose pending hooks can't be read; one finding for all if their folder is broken. */
  readonly manifests: readonly Finding[];
  /** Manifests that no timer runs, unless a unit's finding says so: at most one for all of them. */
  readonly unrun: readonly Finding[];
  /** Paths that units need and their sandboxes leave out. */
  readonly sandbox: readonly SandboxFinding[];
  readonly hooks: readonly HookStatus[];
  readonly units: readonly UnitStatus[];
  /** By a manifest's file, the timer that runs it; manifests without a timer are left out. */
  readonly timers: ReadonlyMap<string, string>;
  /** The host's file of variables, if it can't be used: at most one. */
  readonly config: readonly Finding[];
  /** What this user may not read: at most one. */
  readonly permission: readonly Finding[];
}

/**
 * Examines the host's token, its certificates, its hooks and its timers, and asks the server about the token and the
 * CAs. It writes nothing, takes no lock, and renews nothing. If something can't be found out, a finding says so.
 */
export async function hostStatus(options: HostStatusOptions): Promise<HostStatus> {
  const tokens = readTokens(options.configPath, options.credentialsPath);
  const { manifests, failures } = load(options);
  const wanted = await readAll(manifests, options.destinations);
  const questions = wanted.flatMap((one) => caQuestion(one) ?? []);
  const asked = askServer(options.connect, heldToken(tokens), questions);
  const [answers, shown] = await Promise.all([asked, readHostUnits(manifests)]);
  const { server, clock } = answers;
  const config = options.configFailure === undefined ? [] : [options.configFailure];
  const token = tokenStatus(tokens, answers);
  const isSetUp = config.length + wanted.length > 0 || hasConfiguration(options, tokens);
  const [sandboxes, ...found] = await Promise.all([
    checkSandboxes(manifests, options.namedFiles ?? [], shown.units),
    ...wanted.map((one) => certificateStatus(one, { ...answers, configPath: options.configPath })),
  ]);
  const sandbox = sandboxes.findings;
  // If a certificate's files can't be read either, its own finding says why.
  const readable = wanted.flatMap(({ manifest, found: it }) =>
    it instanceof Failure ? [] : (manifest ?? []),
  );
  const pending = pendingHooks(readable);
  const unusable = [...failures, ...pending.failures.map(({ failure }) => failure)];
  const certificates = found.map((one) => fixedInSandbox(one, sandbox));
  const known = {
    server,
    token,
    certificates,
    sandbox,
    manifests: unusable.filter((failure) => !isDenied(failure)).map(broken),
    hooks: pending.results.map((hook) => hookStatus(hook, options)),
    config: isSetUp ? config.filter((failure) => !isDenied(failure)).map(broken) : [notSetUp(options)],
    permission: permission([
      ...[tokens.token, tokens.initToken, ...config, ...unusable].filter(isDenied),
      ...wanted.filter((one) => one.isDenied),
    ]),
  };
  const fault = shown.fault ?? sandboxes.fault;
  // Where systemctl did not answer, a manifest without a timer may still have one.
  const isAllShown = shown.fault === undefined && shown.units.length > 0;
  const judged = unitStatuses(shown.units, {
    manifests: manifests.filter((manifest) => isAllShown || timerOf(manifest, shown.units) !== undefined),
    isCauseGone: (run) =>
      fault === undefined && isCauseGone(run, { ...known, ...options, loaded: manifests }),
    fixOf: ({ id }) => sandbox.find((one) => one.units.includes(id))?.fix,
  });
  const units = { ...judged, units: [...judged.units, ...(fault === undefined ? [] : [noAnswer(fault)])] };
  const all = [server, clock, token, ...certificates, ...sandbox, ...known.manifests, ...units.unrun];
  const lists = [known.hooks, units.units, known.config, known.permission].flat();
  return {
    state: worstState([...all, ...lists].map(({ state }) => state)),
    host: hostname(),
    now: answers.clocks.server,
    clock,
    ...known,
    ...units,
  };
}

/** One status for all units of which nothing is known. */
function noAnswer(fault: string): UnitStatus {
  const nothing = { lastRunAt: undefined, nextRunAt: undefined, exitCode: undefined };
  return { unit: "systemd", state: "unknown", reasons: [fault], ...nothing };
}

/** A call by hand is in no sandbox, and would hide that the unit's next run fails. */
function fixedInSandbox(one: CertificateStatus, sandbox: readonly SandboxFinding[]): CertificateStatus {
  const isIn = ({ manifests }: SandboxFinding) => one.manifest !== undefined && manifests.includes(one.name);
  const fix = sandbox.find(isIn)?.fix;
  return one.fix === undefined || fix === undefined ? one : { ...one, fix };
}

function load({ configDir, isConfigDirOptional }: HostStatusOptions) {
  const none = { manifests: [], failures: [] };
  try {
    if (isConfigDirOptional && isMissing(configDir)) return none;
    return loadManifests(configDir);
  } catch (error) {
    if (error instanceof Failure) return { ...none, failures: [error] };
    throw error;
  }
}

/** Whether a token, a configuration or a manifest exists; a package brings empty folders. */
function hasConfiguration(
  { configPath, configDir }: HostStatusOptions,
  { token, initToken }: HeldTokens,
): boolean {
  const hasToken = [token, initToken].some((it) => !("state" in it) || it.state !== "missing");
  return hasToken || !isMissing(join(configPath, "config")) || hasManifest(configDir);
}

/** A folder that can't be read may have one. */
function hasManifest(configDir: string): boolean {
  try {
    return readdirSync(configDir).some((name) => name.endsWith(".toml"));
  } catch (error) {
    return errorCode(error) !== "ENOENT";
  }
}

function notSetUp({ configPath, configDir }: HostStatusOptions): Finding {
  const sentence =
    `this host isn't set up: there is no config, token or init-token in ${printable(configPath)}, ` +
    `and no manifest in ${printable(configDir)}`;
  return { state: "wrong", reasons: [sentence] };
}

/** A path that can't be examined counts as existing. */
function isMissing(path: string): boolean {
  try {
    statSync(path);
    return false;
  } catch (error) {
    return errorCode(error) === "ENOENT";
  }
}

/** Reads each destination once, even if it is both in a manifest and given. */
async function readAll(
  manifests: readonly Manifest[],
  destinations: readonly string[],
): Promise<WantedCertificate[]> {
  const managed = new Set(manifests.map(({ destination }) => destination));
  const direct = new Set(destinations.map((path) => resolve(path))).difference(managed);
  return await Promise.all([
    ...manifests.map((manifest) => readWanted(manifest.destination, manifest)),
    ...[...direct].map((destination) => readWanted(destination)),
  ]);
}

function broken({ message, hint }: Failure): Finding {
  return { state: "wrong", reasons: [message, ...(hint === undefined ? [] : [hint])] };
}

function hookStatus(
  { hook, manifests }: HookResult,
  { configDir, configPath }: HostStatusOptions,
): HookStatus {
  return {
    hook,
    manifests,
    state: "due",
    reasons: ["has not succeeded since the change"],
    fix: { do: "run hooks", configDir, configPath },
  };
}

function permission(denied: readonly unknown[]): Finding[] {
  if (denied.length === 0) return [];
  const things = denied.length === 1 ? "one thing" : `${denied.length} things`;
  return [{ state: "wrong", reasons: [`this user may not read ${things}: run it as root`] }];
}
