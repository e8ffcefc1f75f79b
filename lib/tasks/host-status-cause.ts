import { readdirSync, statSync } from "node:fs";
import type { FailureKind } from "../failure.ts";
import type { Finding } from "../finding.ts";
import type { Manifest } from "../manifest/manifest.ts";
import type { CertificateStatus } from "../renewal/status.ts";
import type { SandboxFinding } from "./host-status-sandbox.ts";
import type { FailedRun } from "./host-status-units.ts";
import { runsManifest } from "./host-units.ts";
import { isHooksUnit, manifestOfHooks, tokenService } from "./unit-names.ts";

/** What is known of a host, beside its units. */
export interface KnownOfHost {
  readonly server: Finding;
  readonly token: Finding;
  readonly certificates: readonly CertificateStatus[];
  /** Each that is broken. */
  readonly manifests: readonly Finding[];
  /** Those that are not. */
  readonly loaded: readonly Manifest[];
  readonly sandbox: readonly SandboxFinding[];
  /** Each that is pending, with the names of its manifests. */
  readonly hooks: ReadonlyArray<{ readonly manifests: readonly string[] }>;
  readonly config: readonly Finding[];
  readonly permission: readonly Finding[];
  readonly configPath: string;
  readonly configDir: string;
  /** The kind of failure that a unit's exit code stands for; undefined for a code that is not ours. */
  readonly failureKindOf: (exitCode: number) => FailureKind | undefined;
}

/** Failures that come from the server's answer or from an unknown cause: nothing on this host shows whether they last. */
const unseen: readonly FailureKind[] = ["data", "unavailable", "internal", "permission"];

/**
 * Whether the cause of a unit's failed run seems to be fixed. The server, the host's token and its configuration must
 * be in order, and so must everything that the unit renews. If nothing on the host can show whether the cause lasts, the
 * unit's certificates must be without any finding, or somebody must have changed the configuration since.
 */
export function isCauseGone({ unit, at, exitCode }: FailedRun, known: KnownOfHost): boolean {
  if (known.sandbox.some(({ units }) => units.includes(unit.id))) return false;
  if (isHooksUnit(unit.id)) {
    // An instance runs the hooks of one manifest.
    const name = manifestOfHooks(unit.id);
    return !known.hooks.some(({ manifests }) => name === undefined || manifests.includes(name));
  }
  const { server, token, certificates, loaded } = known;
  const isReady = server.state === "ok" && (token.state === "ok" || token.state === "due");
  if (!isReady || known.config.length + known.permission.length > 0) return false;
  const isForToken = unit.id === tokenService;
  if (!isForToken && known.manifests.length > 0) return false;
  const files = new Set(loaded.filter((one) => runsManifest(unit, one)).map(({ file }) => file));
  const kept = isForToken ? [token] : certificates.filter(({ manifest = "" }) => files.has(manifest));
  // What it does is unknown here.
  if (kept.length === 0) return false;
  if (kept.every(({ state }) => state === "ok")) return true;
  const kind = exitCode === undefined ? undefined : known.failureKindOf(exitCode);
  // From 200 on, exit codes are the service manager's own.
  const isUnseen =
    exitCode !== undefined && (exitCode >= 200 || (kind !== undefined && unseen.includes(kind)));
  // The service manager gives whole seconds.
  return !isUnseen || (at !== undefined && lastChangeMs(known) >= at.getTime() + 1000);
}

/** When somebody last changed something in the host's configuration. */
function lastChangeMs({ configPath, configDir }: KnownOfHost): number {
  const paths = [configPath, configDir].flatMap((folder) => [
    folder,
    ...namesIn(folder).map((name) => `${folder}/${name}`),
  ]);
  return Math.max(...paths.map((path) => statSync(path, { throwIfNoEntry: false })?.ctimeMs ?? 0));
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
