import { closeSync, constants, openSync } from "node:fs";
import { ExitCode, Failure } from "../failure.ts";
import { errorCode, fileError, printable } from "./file-error.ts";

export interface LockOptions {
  /** Ends the waiting. */
  readonly signal: AbortSignal;
  /** Told once what a person should know, when the lock has been waited for two seconds. */
  readonly onWait?: ((sentence: string) => void) | undefined;
}

const tellAfterMs = 2000;

/**
 * Takes a lock that the kernel holds for this process and releases when it ends, however it ends; so the file that
 * it is on may stay and never blocks anybody by being there. Child processes don't get it.
 *
 * SQLite's exclusive transaction on an empty database is the one such lock that the runtime has: flock(2) would
 * need bun:ffi, whose machine code a unit's MemoryDenyWriteExecute forbids.
 *
 * @param name what people know the path by
 * @returns the lock, to be disposed of
 * @throws Failure (try later) when the signal came first; (can't write) when there can be no such file
 * @see https://www.sqlite.org/lockingv3.html
 */
export async function takeLock(path: string, options: LockOptions, name = path): Promise<Disposable> {
  createLockFile(path, name);
  const { Database, constants: sqlite } = await import("bun:sqlite");
  const began = Date.now();
  let told = false;
  for (let waitMs = 5; ; waitMs = Math.min(waitMs * 2, 250)) {
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
      if (!isBusy(error)) throw fileError(ExitCode.cantCreate, "lock", name, error);
    }
    if (options.signal.aborted) {
      throw new Failure(ExitCode.tryLater, `another run holds ${printable(name)}, and did not end in time`);
    }
    if (!told && Date.now() - began >= tellAfterMs) {
      told = true;
      options.onWait?.(`waiting for another run that holds ${name}`);
    }
    await Bun.sleep(waitMs * (0.5 + Math.random()));
  }
}

function createLockFile(path: string, name: string): void {
  try {
    const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants;
    closeSync(openSync(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600));
  } catch (error) {
    // One that is there is not opened: closing it again would release this process' locks on it (POSIX).
    if (errorCode(error) !== "EEXIST")
      throw fileError(ExitCode.cantCreate, "make the lock file", name, error);
  }
}

function isBusy(error: unknown): boolean {
  return /^SQLITE_(BUSY|LOCKED)/.test(errorCode(error));
}
