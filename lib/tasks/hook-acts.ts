import { Failure } from "../failure.ts";
import { certificatePaths } from "../host/certificate-place.ts";
import { readSet } from "../host/certificate-set.ts";
import type { Pending } from "../host/pending.ts";
import type { Hook, Manifest } from "../manifest/manifest.ts";
import { readCertificates } from "../x509/certificate.ts";
import type { HookCall } from "./run-hook.ts";

/** A manifest whose change has not been acted on. */
export interface Waiting {
  readonly manifest: Manifest;
  readonly pending: Pending;
}

/** That one of them wants one thing done. */
interface Wish extends Waiting {
  readonly hook: Hook;
  /** What it is known by, in the note of what was done. */
  readonly name: string;
}

/** One thing to do, for all that want it. */
export interface Act extends HookCall {
  readonly name: string;
  readonly wishes: readonly Wish[];
}

/** The commands that are to be run: before the units, as what a command prepares is there when a unit starts again. */
export function commandActs(waiting: readonly Waiting[]): readonly Act[] {
  const wishes = waiting.flatMap(wishesOf).filter((wish) => isCommand(wish) && !isDone(wish));
  return [...Map.groupBy(wishes, ({ manifest, name }) => `${manifest.file}\n${name}`).values()].flatMap(
    actOf,
  );
}

/**
 * The units that are to be acted on.
 *
 * @param prepared manifests of which a command has succeeded just now. What it prepared was missing when units were
 * acted on after it had failed, so those are acted on again.
 */
export function unitActs(waiting: readonly Waiting[], prepared: ReadonlySet<Manifest>): readonly Act[] {
  const wishes = waiting
    .flatMap(wishesOf)
    .filter((wish) => !isCommand(wish) && (!isDone(wish) || prepared.has(wish.manifest)));
  return [...Map.groupBy(wishes, ({ hook }) => ("unit" in hook ? hook.unit : "")).values()].flatMap(actOf);
}

function wishesOf(one: Waiting): Wish[] {
  return one.manifest.hooks.map((hook) => ({ ...one, hook, name: hookName(hook) }));
}

/** What a manifest's hooks are known by. */
export function hookNames({ hooks }: Manifest): readonly string[] {
  return hooks.map(hookName);
}

function isCommand({ hook }: Wish): boolean {
  return hook.kind === "command";
}

function isDone({ pending, name }: Wish): boolean {
  return pending.done.includes(name);
}

/** Words that could be read in two ways are quoted, as two commands must not have one name. */
function hookName(hook: Hook): string {
  if (hook.kind !== "command") return `${hook.kind} ${hook.unit}`;
  return hook.command.map((word) => (/^[\w%+,./:=@-]+$/.test(word) ? word : JSON.stringify(word))).join(" ");
}

function actOf(wishes: readonly Wish[]): Act[] {
  // Who restarts a unit has reloaded it.
  const wish = wishes.find(({ hook }) => hook.kind === "restart") ?? wishes[0];
  if (wish === undefined) return [];
  const { hook, name, manifest, pending } = wish;
  const timeoutSeconds = Math.max(...wishes.map((it) => it.manifest.hookTimeoutSeconds));
  const about = { name, timeoutSeconds, wishes };
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

/** Neither starts a unit that does not run. */
function systemctl(kind: "reload" | "restart", unit: string): [string, ...string[]] {
  return ["systemctl", kind === "reload" ? "try-reload-or-restart" : "try-restart", "--", unit];
}

/**
 * Why systemctl had nothing to do, by its exit code. What comes later reads the certificate that stands then, so nothing
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

/** What a command is told: names and paths, and nothing secret. */
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

/** Empty where the certificate can't be read: that is for the next run to mend, and no reason not to tell of it. */
function serialNumber({ destination }: Manifest): string {
  try {
    const [certificate] = readCertificates(readSet(destination).certificate ?? "", "the certificate file");
    return certificate.x509.serialNumber.toLowerCase();
  } catch (error) {
    if (error instanceof Failure) return "";
    throw error;
  }
}
