import { closeSync, constants, lstatSync, openSync, type Stats } from "node:fs";
import { Failure } from "../failure.ts";
import { isOurs } from "./access.ts";
import { errorCode, fileError, printable } from "./file-error.ts";

export interface LockOptions {
  /** Ends the waiting. */
  readonly signal: AbortSignal;
  /** Told once what a person should know, when the lock has been waited for two seconds. */
  readonly onWait?: ((sentence: string) => void) | undefined;
}

/**
 * Takes a lock that the kernel holds for this process and releases when it ends, however it ends. So its file may
 * stay, and never blocks anybody by being there. Child processes don't get it.
 *
 * SQLite's exclusive transaction on an empty database is the one such lock that the runtime has: flock(2) would
 * need bun:ffi, whose machine code a unit's MemoryDenyWriteExecute forbids. SQLite opens the file by its path, and a
 * journal beside it. So nobody else may write in its folder: see `takeHostLock`.
 *
 * @param name what people know the path by
 * @returns the lock, to be disposed of
 * @throws Failure (temporary) when the signal came first; (file) when there can be no such file, or something
 *   else is in its place
 * @see https://www.sqlite.org/lockingv3.html
 */
export async function takeLock(path: string, options: LockOptions, name = path): Promise<Disposable> {
  createLockFile(path, name);
  refuseOddLock(path, name, lstatSync(path, { throwIfNoEntry: false }), 1);
  return await untilHeld(() => openLock(path, name), options, name);
}

/** Tries a lock until it is held, ever more rarely. @param open undefined while another process holds it */
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
      throw new Failure("temporary", `another run holds ${printable(name)}, and did not end in time`);
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
 * One try, of a file in whose folder nobody else can write.
 *
 * @returns undefined while another process holds it
 */
export async function openLock(path: string, name: string): Promise<Disposable | undefined> {
  const { Database, constants: sqlite } = await import("bun:sqlite");
  let database: InstanceType<typeof Database> | undefined;
  try {
    database = new Database(path, sqlite.SQLITE_OPEN_READWRITE);
    database.run("PRAGMA busy_timeout = 0");
    // No file beside this one, which a killed run would leave.
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

/** Makes a lock's file where it is missing. Throws Failure (file). */
export function createLockFile(path: string, name: string): void {
  try {
    const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants;
    closeSync(openSync(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600));
  } catch (error) {
    // One that is there is not opened: closing it again would release this process' locks on it (POSIX).
    if (errorCode(error) !== "EEXIST") throw fileError("file", "make the lock file", name, error);
  }
}

/**
 * Refuses what is no lock file of ours: SQLite would follow a link, wait for a FIFO's other end, and read whatever
 * database somebody has put there.
 *
 * @param links how many names the file has
 */
export function refuseOddLock(path: string, name: string, stats: Stats | undefined, links: number): void {
  if (stats?.isFile() === true && stats.size === 0 && stats.nlink === links && isOurs(stats)) return;
  throw new Failure("file", `can't lock ${printable(name)}: ${oddness(stats, links)}`, {
    hint: `nothing was changed; look at how it came there, and remove ${printable(path)}`,
  });
}

function oddness(stats: Stats | undefined, links: number): string {
  if (stats === undefined) return "its lock file went away";
  if (!stats.isFile()) return "something other than a plain file is in its lock file's place";
  if (stats.size > 0) return "its lock file is not empty";
  return isOurs(stats) && stats.nlink !== links
    ? "its lock file has another name (a hard link)"
    : "others can write its lock file";
}

function isBusy(error: unknown): boolean {
  return /^SQLITE_(BUSY|LOCKED)/.test(errorCode(error));
}
