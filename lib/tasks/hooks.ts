import { spawn } from "node:child_process";
import { certificatePaths } from "../host/certificate-place.ts";
import { type Pending, readPending, settlePending } from "../host/pending.ts";
import type { Hook, Manifest } from "../manifest/manifest.ts";

/** A hook that was run, or tried. */
export interface HookResult {
  /** `reload etcd.service`, `/usr/local/bin/tell --quiet` */
  readonly hook: string;
  /** Of whose change it is told. */
  readonly manifests: readonly string[];
  /** Undefined when it succeeded. */
  readonly failure?: string;
}

export interface HookOptions {
  readonly signal: AbortSignal;
  /** Told each line that a hook prints. */
  readonly onLine: (line: string) => void;
}

interface Act {
  readonly hook: string;
  readonly command: readonly [string, ...string[]];
  readonly timeoutSeconds: number;
  readonly env: Readonly<Record<string, string>>;
  readonly manifests: Manifest[];
}

/**
 * Acts on every change that is noted as pending: each command once for its certificate, each unit once for all that
 * name it. A hook that fails, hangs or is cut off is run again by the next run, without a new certificate; those that
 * succeeded are not.
 *
 * @returns every hook that was run, none when nothing was pending
 */
export async function runPendingHooks(
  manifests: readonly Manifest[],
  options: HookOptions,
): Promise<readonly HookResult[]> {
  const waiting = manifests.flatMap((manifest) => {
    const pending = readPending(manifest.destination);
    return pending.changed.length === 0 ? [] : [{ manifest, pending }];
  });
  const results: HookResult[] = [];
  for (const act of acts(waiting)) {
    const failure = await run(act, options);
    const names = act.manifests.map(({ name }) => name);
    results.push({ hook: act.hook, manifests: names, ...(failure === undefined ? {} : { failure }) });
  }
  for (const { manifest, pending } of waiting) settle(manifest, pending, results);
  return results;
}

function settle({ name, destination }: Manifest, pending: Pending, results: readonly HookResult[]): void {
  const mine = results.filter(({ manifests }) => manifests.includes(name));
  const succeeded = mine.filter(({ failure }) => failure === undefined).map(({ hook }) => hook);
  const isAll = succeeded.length === mine.length;
  settlePending(destination, pending, isAll ? undefined : [...pending.done, ...succeeded]);
}

/** Commands first, then the units: what a command prepares is there when a unit starts again. */
function acts(waiting: ReadonlyArray<{ manifest: Manifest; pending: Pending }>): readonly Act[] {
  const units = new Map<string, Act>();
  const commands: Act[] = [];
  for (const { manifest, pending } of waiting) {
    for (const hook of manifest.hooks) {
      const act = actOf(hook, manifest, pending.changed);
      if (pending.done.includes(act.hook)) continue;
      const shared = units.get(act.hook);
      if (hook.kind === "command") commands.push(act);
      else if (shared === undefined) units.set(act.hook, act);
      else shared.manifests.push(manifest);
    }
  }
  return [...commands, ...units.values()];
}

function actOf(hook: Hook, manifest: Manifest, changed: readonly string[]): Act {
  const timeoutSeconds = manifest.hookTimeoutSeconds;
  const manifests = [manifest];
  if (hook.kind === "command") {
    const [program, ...args] = hook.command;
    const env = environment(manifest, changed);
    return { hook: [program, ...args].join(" "), command: hook.command, timeoutSeconds, env, manifests };
  }
  const verb = hook.kind === "reload" ? "try-reload-or-restart" : "try-restart";
  return {
    hook: `${hook.kind} ${hook.unit}`,
    command: ["systemctl", verb, "--", hook.unit],
    timeoutSeconds,
    env: {},
    manifests,
  };
}

/** What a command is told: names and paths, and nothing secret. */
function environment(manifest: Manifest, changed: readonly string[]): Record<string, string> {
  const { key, certificate, ca } = certificatePaths(manifest.destination);
  return {
    VAULT_HELPER_NAME: manifest.name,
    VAULT_HELPER_CHANGED: changed.join(" "),
    VAULT_HELPER_KEY: key,
    VAULT_HELPER_CERTIFICATE: certificate,
    VAULT_HELPER_CA: ca,
  };
}

/** Undefined when it ended with 0 in time. */
function run(
  { command: [program, ...args], timeoutSeconds, env }: Act,
  options: HookOptions,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      // Not our own: a token of the environment is none of theirs.
      env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ...env },
      stdio: ["ignore", "pipe", "pipe"],
      // A group of its own, so that what it started ends with it.
      detached: true,
    });
    let ended: string | undefined;
    const end = (why: string) => {
      ended = why;
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    };
    const timer = setTimeout(() => end(`it did not end within ${timeoutSeconds} s`), timeoutSeconds * 1000);
    const stop = () => end("the run ended before it");
    options.signal.addEventListener("abort", stop, { once: true });
    const done = (failure: string | undefined) => {
      clearTimeout(timer);
      options.signal.removeEventListener("abort", stop);
      resolve(ended ?? failure);
    };
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        for (const line of text.split("\n").filter(Boolean)) options.onLine(line);
      });
    }
    child.once("error", (error) => done(`it can't be started: ${error.message}`));
    child.once("close", (code, signal) => done(code === 0 ? undefined : `it ended with ${signal ?? code}`));
  });
}
