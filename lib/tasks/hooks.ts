import { dirname } from "node:path";
import { Failure } from "../failure.ts";
import { type Folders, keepFoldersOpen } from "../host/folder.ts";
import type { LockOptions } from "../host/lock.ts";
import { roomFor } from "../host/open-files.ts";
import { lockHooks, type Pending, readPending, settlePending } from "../host/pending.ts";
import type { Manifest } from "../manifest/manifest.ts";
import { commandJobs, type HookJob, hookNames, type PendingManifest, unitJobs } from "./hook-jobs.ts";
import { withUnitHint } from "./own-unit.ts";
import { type HookOptions, type HookOutcome, runHook } from "./run-hook.ts";

/** A hook that was run, or tried. */
export interface HookResult {
  /** Such as `reload etcd.service` or `/usr/local/bin/tell --quiet`. */
  readonly hook: string;
  /** The manifests whose certificate changed. */
  readonly manifests: readonly string[];
  /** Undefined if it succeeded or had nothing to do. */
  readonly failure?: string;
  /** Why it had nothing to do. It is no longer pending. */
  readonly note?: string;
}

/** Every hook that was run, or is pending, and the manifests whose pending hooks could not be read or written. */
export interface HookRun {
  readonly results: readonly HookResult[];
  readonly failures: readonly HookFailure[];
}

interface HookFailure {
  readonly manifest: Manifest;
  readonly failure: Failure;
}

interface Done {
  readonly job: HookJob;
  readonly outcome: HookOutcome;
}

/** Open files for each manifest whose hooks are run: its lock, and a file that SQLite opens with it. */
const filesOfLock = 2;

/**
 * Runs all pending hooks: each command once for its certificate, each unit once for all the manifests that name it.
 *
 * A hook that fails, hangs or is cut off stays pending, and the next run tries it again without a new certificate. A
 * hook that succeeded is not run again, with one exception: if a command of the same manifest failed, the manifest's
 * units are restarted or reloaded again after that command has succeeded.
 *
 * If more manifests have pending hooks than can be locked at one time, they are done in batches, and a unit is restarted
 * or reloaded once in each batch.
 */
export async function runPendingHooks(
  manifests: readonly Manifest[],
  options: HookOptions,
): Promise<HookRun> {
  using folders = keepFoldersOpen();
  const results: HookResult[] = [];
  const failures: HookFailure[] = [];
  const attempt = attempts(failures);
  const room = roomFor(filesOfLock);
  // Every run locks in the same order, so that no two runs wait for each other.
  const rest = manifests.toSorted((a, b) => (a.destination < b.destination ? -1 : 1));
  while (rest.length > 0) {
    using locks = new DisposableStack();
    const waiting: PendingManifest[] = [];
    while (waiting.length < room) {
      const manifest = rest.shift();
      if (manifest === undefined) break;
      const pending = await attempt(manifest, () => lockPending(manifest, locks, folders, options));
      if (pending !== undefined) waiting.push({ manifest, pending });
    }
    const done = await runJobs(waiting, options);
    for (const one of waiting) {
      const mine = done.flatMap(({ job, outcome: { failure } }) =>
        job.hooks.flatMap(({ manifest, name }) => (manifest === one.manifest ? [{ name, failure }] : [])),
      );
      await attempt(one.manifest, () => settle(one, mine, options));
    }
    results.push(...done.map(({ job, outcome }) => ({ ...planned(job), ...outcome })));
  }
  return { results, failures };
}

/** Makes calls for one manifest at a time. A failure is collected, and the other manifests go on. */
function attempts(failures: HookFailure[]) {
  return async <T>(manifest: Manifest, call: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await call();
    } catch (error) {
      failures.push(hookFailure(manifest, error));
      return undefined;
    }
  };
}

/** Throws an error that is not a Failure. */
function hookFailure(manifest: Manifest, error: unknown): HookFailure {
  if (!(error instanceof Failure)) throw error;
  return { manifest, failure: withUnitHint(error, dirname(manifest.destination)) };
}

async function runJobs(waiting: readonly PendingManifest[], options: HookOptions): Promise<Done[]> {
  const done: Done[] = [];
  const run = async (jobs: readonly HookJob[]) => {
    for (const job of jobs) done.push({ job, outcome: await runHook(job, options) });
  };
  await run(commandJobs(waiting));
  const succeeded = done.filter(({ outcome }) => outcome.failure === undefined);
  const prepared = succeeded.flatMap(({ job }) => job.hooks.map(({ manifest }) => manifest));
  await run(unitJobs(waiting, new Set(prepared)));
  return done;
}

/** The pending hooks, as noted beside the certificate sets. */
export function pendingHooks(manifests: readonly Manifest[]): HookRun {
  using folders = keepFoldersOpen();
  const waiting: PendingManifest[] = [];
  const failures: HookFailure[] = [];
  for (const manifest of manifests) {
    try {
      const pending = readPending(manifest.destination, folders);
      if (pending.changed.length > 0) waiting.push({ manifest, pending });
    } catch (error) {
      failures.push(hookFailure(manifest, error));
    }
  }
  return { results: [...commandJobs(waiting), ...unitJobs(waiting, new Set())].map(planned), failures };
}

function planned({ name, hooks }: HookJob): HookResult {
  return { hook: name, manifests: [...new Set(hooks.map(({ manifest }) => manifest.name))] };
}

/** @returns undefined if nothing is pending, which is the common case and needs no lock */
async function lockPending(
  { destination }: Manifest,
  locks: DisposableStack,
  folders: Folders,
  options: HookOptions,
): Promise<Pending | undefined> {
  if (readPending(destination, folders).changed.length === 0) return undefined;
  using lock = new DisposableStack();
  lock.use(await lockHooks(destination, lockOptions(options)));
  // Another run may have run the hooks while this one waited.
  const pending = readPending(destination);
  if (pending.changed.length === 0) return undefined;
  locks.use(lock.move());
  return pending;
}

async function settle(
  { manifest, pending }: PendingManifest,
  mine: ReadonlyArray<{ name: string; failure: string | undefined }>,
  options: HookOptions,
): Promise<void> {
  const failed = mine.filter(({ failure }) => failure !== undefined).map(({ name }) => name);
  // A unit with fewer rights wrote the notes, so only names of this manifest's own hooks are kept.
  const known = new Set(hookNames(manifest));
  const noted = pending.done.filter((name) => known.has(name));
  const all = new Set([...noted, ...mine.map(({ name }) => name)]);
  const done = failed.length === 0 ? undefined : [...all].filter((name) => !failed.includes(name));
  await settlePending(manifest.destination, pending, done, lockOptions(options));
}

function lockOptions({ signal, onLine }: HookOptions): LockOptions {
  return { signal, onWait: onLine };
}
