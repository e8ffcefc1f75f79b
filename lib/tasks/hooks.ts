import type { Readable } from "node:stream";
import { Failure } from "../failure.ts";
import { certificatePaths } from "../host/certificate-place.ts";
import { readSet } from "../host/certificate-set.ts";
import { type Folders, keepFoldersOpen } from "../host/folder.ts";
import { type LockOptions, waitingNote } from "../host/lock.ts";
import { lockHooks, type Pending, readPending, settlePending } from "../host/pending.ts";
import type { Hook, Manifest } from "../manifest/manifest.ts";
import { readCertificates } from "../x509/certificate.ts";

/** A hook that was run, or tried. */
export interface HookResult {
  /** `reload etcd.service`, `/usr/local/bin/tell --quiet` */
  readonly hook: string;
  /** Of whose change it is told. */
  readonly manifests: readonly string[];
  /** Undefined when it succeeded. */
  readonly failure?: string;
}

/** Every hook that was run, and the manifests of which what is pending could not be read, or not be noted. */
export interface HookRun {
  readonly results: readonly HookResult[];
  readonly failures: ReadonlyArray<{ readonly manifest: Manifest; readonly failure: Failure }>;
}

export interface HookOptions {
  readonly signal: AbortSignal;
  /** Told each line that a hook prints. */
  readonly onLine: (line: string) => void;
}

/** A manifest whose change has not been acted on. */
interface Waiting {
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
interface Act {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly timeoutSeconds: number;
  readonly env: Readonly<Record<string, string>>;
  readonly wishes: readonly Wish[];
}

/**
 * Acts on every change that is noted as pending: each command once for its certificate, each unit once for all that
 * name it. A hook that fails, hangs or is cut off is run again by the next run, without a new certificate; those that
 * succeeded are not.
 */
export async function runPendingHooks(
  manifests: readonly Manifest[],
  options: HookOptions,
): Promise<HookRun> {
  using locks = new DisposableStack();
  using folders = keepFoldersOpen();
  const failures: Array<{ manifest: Manifest; failure: Failure }> = [];
  const attempt = async <T>(manifest: Manifest, call: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      failures.push({ manifest, failure: error });
      return undefined;
    }
  };
  const waiting: Waiting[] = [];
  // In an order that each run keeps to, so that no two wait for each other.
  for (const manifest of manifests.toSorted((a, b) => (a.destination < b.destination ? -1 : 1))) {
    const pending = await attempt(manifest, () => lockPending(manifest, locks, folders, options));
    if (pending !== undefined) waiting.push({ manifest, pending });
  }
  const done: Array<{ act: Act; failure: string | undefined }> = [];
  for (const act of acts(waiting)) done.push({ act, failure: await run(act, options) });
  for (const one of waiting) {
    const mine = done.flatMap(({ act, failure }) =>
      act.wishes.flatMap(({ manifest, name }) => (manifest === one.manifest ? [{ name, failure }] : [])),
    );
    await attempt(one.manifest, () => settle(one, mine, options));
  }
  return {
    results: done.map(({ act, failure }) => ({
      ...planned(act),
      ...(failure === undefined ? {} : { failure }),
    })),
    failures,
  };
}

/** The hooks that are still to run, by what is noted now. */
export function pendingHooks(manifests: readonly Manifest[]): readonly HookResult[] {
  using folders = keepFoldersOpen();
  const waiting = manifests.map((manifest) => ({
    manifest,
    pending: readPending(manifest.destination, folders),
  }));
  return acts(waiting.filter(({ pending }) => pending.changed.length > 0)).map(planned);
}

function planned({ name, wishes }: Act): HookResult {
  return { hook: name, manifests: [...new Set(wishes.map(({ manifest }) => manifest.name))] };
}

/** Undefined when nothing is pending. Most often nothing is, and no lock is needed to see that. */
async function lockPending(
  { destination }: Manifest,
  locks: DisposableStack,
  folders: Folders,
  options: HookOptions,
): Promise<Pending | undefined> {
  if (readPending(destination, folders).changed.length === 0) return undefined;
  locks.use(await lockHooks(destination, waiting(options)));
  // Another run may have acted on it while this one waited.
  const pending = readPending(destination);
  return pending.changed.length === 0 ? undefined : pending;
}

async function settle(
  { manifest, pending }: Waiting,
  mine: ReadonlyArray<{ name: string; failure: string | undefined }>,
  options: HookOptions,
): Promise<void> {
  const succeeded = mine.filter(({ failure }) => failure === undefined).map(({ name }) => name);
  const done = succeeded.length === mine.length ? undefined : [...pending.done, ...succeeded];
  await settlePending(manifest.destination, pending, done, waiting(options));
}

function waiting({ signal, onLine }: HookOptions): LockOptions {
  return { signal, onWait: (path) => onLine(waitingNote(path)) };
}

/** Commands first, then the units: what a command prepares is there when a unit starts again. */
function acts(waiting: readonly Waiting[]): readonly Act[] {
  const wishes = waiting.flatMap((one) =>
    one.manifest.hooks
      .map((hook): Wish => ({ ...one, hook, name: hookName(hook) }))
      .filter(({ name }) => !one.pending.done.includes(name)),
  );
  const [commands, units] = [wishes.filter(isCommand), wishes.filter((it) => !isCommand(it))];
  return [
    ...Map.groupBy(commands, ({ manifest, name }) => `${manifest.file}\n${name}`).values(),
    ...Map.groupBy(units, ({ hook }) => ("unit" in hook ? hook.unit : "")).values(),
  ].flatMap(actOf);
}

function isCommand({ hook }: Wish): boolean {
  return hook.kind === "command";
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
  const [command, env] =
    hook.kind === "command"
      ? [hook.command, environment(manifest, pending.changed)]
      : [systemctl(hook.kind, hook.unit), {}];
  return [{ name, command, timeoutSeconds, env, wishes }];
}

/** Neither starts a unit that does not run. */
function systemctl(kind: "reload" | "restart", unit: string): [string, ...string[]] {
  return ["systemctl", kind === "reload" ? "try-reload-or-restart" : "try-restart", "--", unit];
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

/** For what a hook said last, when something that it left running holds its output open. */
const lastWordsMs = 500;

/** Undefined when it ended with 0 in time. */
async function run(
  { command: [program, ...args], timeoutSeconds, env }: Act,
  { signal, onLine }: HookOptions,
): Promise<string | undefined> {
  const tooLate = "the run ended before it";
  if (signal.aborted) return tooLate;
  const { spawn } = await import("node:child_process");
  return await new Promise((resolve) => {
    const child = spawn(program, args, {
      // Not our own: a token of the environment is none of theirs.
      env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ...env },
      stdio: ["ignore", "pipe", "pipe"],
      // A group of its own, so that what it started ends with it.
      detached: true,
    });
    const output = Promise.all([child.stdout, child.stderr].map((stream) => forwardLines(stream, onLine)));
    let cutOff: string | undefined;
    const cut = (why: string) => {
      cutOff = why;
      killGroup(child.pid);
    };
    const timer = setTimeout(() => cut(`it did not end within ${timeoutSeconds} s`), timeoutSeconds * 1000);
    const stop = () => cut(tooLate);
    signal.addEventListener("abort", stop, { once: true });
    const done = async (failure: string | undefined) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      await Promise.race([output, Bun.sleep(lastWordsMs)]);
      resolve(cutOff ?? failure);
    };
    child.once("error", (error) => void done(`it can't be started: ${error.message}`));
    // Not "close", for which a service that it has started, and that keeps its output, would have to end.
    child.once("exit", (code, by) => void done(code === 0 ? undefined : `it ended with ${by ?? code}`));
  });
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // it has ended just now
  }
}

/** A line without an end does not fill the memory. */
const longestLine = 4096;

/** Resolves when there is no more. */
function forwardLines(stream: Readable, onLine: (line: string) => void): Promise<void> {
  const tell = (line: string) => {
    if (line !== "") onLine(line.replaceAll(/[^\P{Cc}\t]/gu, "\ufffd"));
  };
  let rest = "";
  stream.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) tell(line);
    if (rest.length < longestLine) return;
    tell(rest);
    rest = "";
  });
  return new Promise((resolve) => {
    stream.once("close", () => {
      tell(rest);
      rest = "";
      resolve();
    });
  });
}
