import { closeSync, constants, lstatSync, openSync, type Stats } from "node:fs";
import { Failure } from "../failure.ts";
import { isOurs } from "./access.ts";
import { errorCode, fileError, printable } from "./file-error.ts";

export interface LockOptions {
  /** Ends the wait. */
  readonly signal: AbortSignal;
  /** Called once with a message for people, after a wait of two seconds. */
  readonly onWait?: ((sentence: string) => void) | undefined;
}

/**
 * Takes a lock that the kernel releases when this process ends, however it ends. A lock file that is left behind blocks
 * nobody. Child processes don't inherit the lock.
 *
 * The only such lock in the runtime is SQLite's exclusive transaction on an empty database. flock(2) would need bun:ffi,
 * which generates machine code, and MemoryDenyWriteExecute= in our units forbids that. SQLite opens the file by its path
 * and a journal beside it, so nobody else may write in its folder: see `takeHostLock`.
 *
 * @param name the path for messages
 * @returns the lock, to be disposed of
 * @throws Failure (temporary) when the signal comes first; (file) when the lock file can't be made or is not ours
 * @see https://www.sqlite.org/lockingv3.html
 */
export async function takeLock(path: string, options: LockOptions, name = path): Promise<Disposable> {
  createLockFile(path, name);
  refuseOddLock(path, name, lstatSync(path, { throwIfNoEntry: false }), 1);
  return await untilHeld(() => openLock(path, name), options, name);
}

/**
 * Tries to take a lock until it succeeds, with growing pauses.
 *
 * @param open tries once; returns undefined while another process holds the lock
 * @throws Failure (temporary) when the signal comes first
 */
export async function untilHeld(
  open: () => Promise<Disposable | undefined>,
  { signal, onWait }: LockOptions,
  name: string,
): Promise<Disposable> {
  const began = performance.now();
  let told = false;
  for (let waitMs = 5; ; waitMs = Math.min(waitMs * 2, 250)) {
    const lock = await open();
    if (lock !== undefined) return lock;
    if (signal.aborted) {
      const { reason } = signal;
      const why = reason instanceof Error ? reason.message : String(reason);
      throw new Failure("temporary", `another run held ${printable(name)} until this one ended (${why})`);
    }
    if (!told && performance.now() - began >= tellAfterMs) {
      told = true;
      onWait?.(`waiting for another run that holds ${name}`);
    }
    await Bun.sleep(waitMs * (0.5 + Math.random()));
  }
}

const tellAfterMs = 2000;

/**
 * Tries once to lock a file. Nobody else may be able to write in its folder.
 *
 * @returns undefined while another process holds the lock
 */
export async function openLock(path: string, name: string): Promise<Disposable | undefined> {
  const { Database, constants: sqlite } = await import("bun:sqlite");
  let database: InstanceType<typeof Database> | undefined;
  try {
    database = new Database(path, sqlite.SQLITE_OPEN_READWRITE);
    database.run("PRAGMA busy_timeout = 0");
    // Without a journal file, which a killed run would leave behind.
    database.run("PRAGMA journal_mode = MEMORY");
    database.run("BEGIN EXCLUSIVE");
    const held = database;
    return { [Symbol.dispose]: () => held.close() };
  } catch (error) {
    database?.close();
    if (isBusy(error)) return undefined;
    throw fileError("file", "lock", name, error);
  }
}

/** Makes a lock file if it is missing. Throws Failure (file). */
export function createLockFile(path: string, name: string): void {
  try {
    const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants;
    closeSync(openSync(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600));
  } catch (error) {
    // An existing file must not be opened: closing it again would release this process's locks on it (POSIX).
    if (errorCode(error) !== "EEXIST") throw fileError("file", "make the lock file", name, error);
  }
}

/**
 * Refuses anything that is not a lock file of ours. SQLite would follow a link, wait for a FIFO's other end, or read a
 * foreign database.
 *
 * @param links how many names the file should have
 * @throws Failure (file)
 */
export function refuseOddLock(path: string, name: string, stats: Stats | undefined, links: number): void {
  if (stats?.isFile() === true && stats.size === 0 && stats.nlink === links && isOurs(stats)) return;
  throw new Failure("file", `can't lock ${printable(name)}: ${oddness(stats, links)}`, {
    hint: `nothing was changed; find out how it got there, then remove ${printable(path)}`,
  });
}

function oddness(stats: Stats | undefined, links: number): string {
  if (stats === undefined) return "its lock file has disappeared";
  if (!stats.isFile()) return "something other than a plain file is in its lock file's place";
  if (stats.size > 0) return "its lock file is not empty";
  return isOurs(stats) && stats.nlink !== links
    ? "its lock file has another name (a hard link)"
    : "others can write its lock file";
}

function isBusy(error: unknown): boolean {
  return /^SQLITE_(BUSY|LOCKED)/.test(errorCode(error));
}
