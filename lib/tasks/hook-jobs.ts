import { Failure } from "../failure.ts";
import { certificatePaths } from "../host/certificate-place.ts";
import { readSet } from "../host/certificate-set.ts";
import type { Pending } from "../host/pending.ts";
import type { Hook, Manifest } from "../manifest/manifest.ts";
import { isPlainWord } from "../words.ts";
import { readCertificates } from "../x509/certificate.ts";
import type { HookCall } from "./run-hook.ts";

/** A manifest with pending hooks. */
export interface PendingManifest {
  readonly manifest: Manifest;
  readonly pending: Pending;
}

/** One hook of such a manifest. */
interface PendingHook extends PendingManifest {
  readonly hook: Hook;
  /** Its name in the notes on hooks that were run. */
  readonly name: string;
}

/** One command to run, for all the hooks that ask for it. */
export interface HookJob extends HookCall {
  readonly name: string;
  readonly hooks: readonly PendingHook[];
}

/** The commands to run. They go before the units, so that a unit that restarts finds what a command has prepared. */
export function commandJobs(manifests: readonly PendingManifest[]): readonly HookJob[] {
  const hooks = manifests.flatMap(pendingHooksOf).filter((one) => isCommand(one) && !isDone(one));
  return [...Map.groupBy(hooks, ({ manifest, name }) => `${manifest.file}\n${name}`).values()].flatMap(
    jobsOf,
  );
}

/**
 * The units to restart or reload.
 *
 * @param prepared manifests with a command that has just succeeded. If it had failed in an earlier run, units were
 *   restarted without what it prepares, so they are restarted again.
 */
export function unitJobs(
  manifests: readonly PendingManifest[],
  prepared: ReadonlySet<Manifest>,
): readonly HookJob[] {
  const hooks = manifests
    .flatMap(pendingHooksOf)
    .filter((one) => !isCommand(one) && (!isDone(one) || prepared.has(one.manifest)));
  return [...Map.groupBy(hooks, ({ hook }) => ("unit" in hook ? hook.unit : "")).values()].flatMap(jobsOf);
}

/** Hooks for a change of the CA have nothing to do after another change. */
function pendingHooksOf(one: PendingManifest): PendingHook[] {
  const isCaChanged = one.pending.changed.includes("ca");
  return one.manifest.hooks
    .filter((hook) => hook.kind === "command" || !hook.onCaOnly || isCaChanged)
    .map((hook) => ({ ...one, hook, name: hookName(hook) }));
}

/** The names of a manifest's hooks. */
export function hookNames({ hooks }: Manifest): readonly string[] {
  return hooks.map(hookName);
}

function isCommand({ hook }: PendingHook): boolean {
  return hook.kind === "command";
}

function isDone({ pending, name }: PendingHook): boolean {
  return pending.done.includes(name);
}

/** A hook's name. Ambiguous words are quoted, because two different commands must not have the same name. */
function hookName(hook: Hook): string {
  if (hook.kind !== "command") return `${hook.kind} ${hook.unit}`;
  return hook.command.map((word) => (isPlainWord(word) ? word : JSON.stringify(word))).join(" ");
}

function jobsOf(hooks: readonly PendingHook[]): HookJob[] {
  // A restart includes a reload.
  const chosen = hooks.find(({ hook }) => hook.kind === "restart") ?? hooks[0];
  if (chosen === undefined) return [];
  const { hook, name, manifest, pending } = chosen;
  const timeoutSeconds = Math.max(...hooks.map((it) => it.manifest.hookTimeoutSeconds));
  const about = { name, timeoutSeconds, hooks };
  return hook.kind === "command"
    ? [{ ...about, command: hook.command, env: environment(manifest, pending.changed) }]
    : [
        {
          ...about,
          command: systemctl(hook.kind, hook.unit),
          env: {},
          whyNothing: (exitCode) => whyNoUnit(exitCode, hook.unit),
        },
      ];
}

/** Neither command starts a unit that is not running. */
function systemctl(kind: "reload" | "restart", unit: string): [string, ...string[]] {
  return ["systemctl", kind === "reload" ? "try-reload-or-restart" : "try-restart", "--", unit];
}

/**
 * Why systemctl had nothing to do, by its exit code. A unit that starts later reads the current certificate, so nothing
 * is left to do.
 *
 * @see https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#Process%20Exit%20Codes
 */
function whyNoUnit(exitCode: number, unit: string): string | undefined {
  if (exitCode === 5) return "this host has no such unit";
  if (exitCode === 3) return "a unit of this kind can't be restarted";
  if (exitCode === 1 && unit.includes("@.")) return "it is a template: name one of its units";
  return undefined;
}

/** The environment of a command: names and paths, nothing secret. */
function environment(manifest: Manifest, changed: readonly string[]): Record<string, string> {
  const { key, certificate, ca } = certificatePaths(manifest.destination);
  return {
    VAULT_HELPER_NAME: manifest.name,
    VAULT_HELPER_CHANGED: changed.join(" "),
    VAULT_HELPER_SERIAL: serialNumber(manifest),
    VAULT_HELPER_KEY: key,
    VAULT_HELPER_CERTIFICATE: certificate,
    VAULT_HELPER_CA: ca,
  };
}

/** The certificate's serial number; empty if it can't be read. The next run fixes that; the command still runs. */
function serialNumber({ destination }: Manifest): string {
  try {
    const stored = readSet(destination);
    const pem = stored.state === "missing" ? "" : (stored.files.certificate ?? "");
    const [certificate] = readCertificates(pem, "the certificate file");
    return certificate.x509.serialNumber.toLowerCase();
  } catch (error) {
    if (error instanceof Failure) return "";
    throw error;
  }
}
