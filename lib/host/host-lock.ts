import { closeSync, constants, linkSync, lstatSync, mkdirSync, openSync, rmSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { Failure } from "../failure.ts";
import { isOurs } from "./access.ts";
import { errorCode, fileError, printable } from "./file-error.ts";
import { createLockFile, type LockOptions, openLock, refuseOddLock, takeLock, untilHeld } from "./lock.ts";
import { isSameFilePath } from "./path.ts";

/** Something on a host that only one run at a time may change. */
export interface LockedThing {
  readonly kind: "token" | "set" | "hooks" | "kubeconfig";
  /** The folder that it is in, for system calls. */
  readonly folder: string;
  /** Its name in that folder. */
  readonly base: string;
  /** For messages. */
  readonly name: string;
}

/** For root. /run is emptied at each boot, and locks need not survive that. */
const rootFolder = "/run/vault-helper";

/**
 * Locks one thing on this host for this run. The thing's own folder may belong to another user, so the locks are kept
 * elsewhere: root's in /run/vault-helper, and other users' in their state folders.
 *
 *     /run/vault-helper/token.lock   for /etc/vault; the units that use the network can write this one file
 *     /run/vault-helper/sets/        for certificates; the units that issue can write in it
 *     /run/vault-helper/private/     hard links to the files in sets/, for everything outside those units
 *     /run/vault-helper/             for all other things, hidden from those units
 *
 * Code in a unit that issues also runs as root, and could put a link, a FIFO or a journal beside a lock in `sets`. So
 * all other processes open these locks by their names in `private`, which those units can't see.
 *
 * Units of an older release have no such folder, and can't make one. They lock the thing's own folder with flock(1).
 *
 * @returns the lock, to be disposed of
 * @throws Failure (temporary) when the signal comes first; (file) when the lock file is not what it should be
 */
export async function takeHostLock(thing: LockedThing, options: LockOptions): Promise<Disposable> {
  try {
    return await take(thing, options);
  } catch (error) {
    throw fileError("file", "lock", thing.name, error);
  }
}

async function take(thing: LockedThing, options: LockOptions): Promise<Disposable> {
  const { name } = thing;
  const folder = lockFolder();
  if (folder === undefined) return await untilHeld(async () => lockDescriptor(thing), options, name);
  const file = lockName(thing);
  if (thing.kind !== "set" || folder !== rootFolder) return await takeLock(join(folder, file), options, name);
  const shared = join(requireFolder(join(folder, "sets")), file);
  const privateFolder = makeFolder(join(folder, "private"));
  return await untilHeld(
    () =>
      privateFolder === undefined
        ? openShared(shared, name)
        : openPrivate(shared, join(privateFolder, file), name),
    options,
    name,
  );
}

/** `set-1f-2a3-9c0e….lock`: the same name for every path of the folder. */
function lockName({ kind, folder, base }: LockedThing): string {
  if (kind === "token" && isSameFilePath(join(folder, base), "/etc/vault/token")) return "token.lock";
  const { dev, ino } = statSync(folder, { bigint: true });
  const digest = new Bun.CryptoHasher("sha256").update(base).digest("hex").slice(0, 16);
  return `${kind}-${dev.toString(16)}-${ino.toString(16)}-${digest}.lock`;
}

/** The folder for this user's locks; undefined when it can't be made. */
function lockFolder(): string | undefined {
  if (process.geteuid?.() === 0) return makeFolder(rootFolder);
  const state = process.env.XDG_STATE_HOME;
  const home = state?.startsWith("/") ? state : join(process.env.HOME || homedir(), ".local/state");
  return makeFolder(join(home, "vault-helper"));
}

/** Makes a folder if it is missing; undefined when it can't be made. Throws Failure (file) if others can write in it. */
function makeFolder(path: string): string | undefined {
  try {
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) makeAll(path);
    const stats = lstatSync(path);
    if (stats.isDirectory() && isOurs(stats)) return path;
  } catch (error) {
    if (["EROFS", "EACCES", "EPERM", "ENOENT", "ENOTDIR"].includes(errorCode(error))) return undefined;
    throw fileError("file", "make the folder", path, error);
  }
  throw new Failure("file", `the lock folder ${printable(path)} can be changed by other users`, {
    hint: "nothing was changed; find out how it got there, then remove it",
  });
}

function makeAll(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (errorCode(error) === "EEXIST") return;
    if (errorCode(error) !== "ENOENT" || path === rootFolder) throw error;
    makeAll(dirname(path));
    makeAll(path);
  }
}

function requireFolder(path: string): string {
  const made = makeFolder(path);
  if (made !== undefined) return made;
  throw new Failure("file", `the lock folder ${printable(path)} can't be made`, {
    hint: "this unit is from another release; install the units of this one, then run systemctl daemon-reload",
  });
}

/** Inside a unit that issues. Only such units could have put anything else into the folder. */
async function openShared(shared: string, name: string): Promise<Disposable | undefined> {
  createLockFile(shared, name);
  const stats = lstatSync(shared, { throwIfNoEntry: false });
  refuseOddLock(shared, name, stats, stats?.nlink === 2 ? 2 : 1);
  return await openLock(shared, name);
}

/** Outside those units: by the name that they can't see. */
async function openPrivate(shared: string, own: string, name: string): Promise<Disposable | undefined> {
  createLockFile(shared, name);
  if (!isSameFile(shared, own)) {
    rmSync(own, { force: true });
    try {
      linkSync(shared, own);
    } catch (error) {
      // Another run was faster, or the file has been replaced. The next try finds out.
      if (["EEXIST", "ENOENT"].includes(errorCode(error))) return undefined;
      // Some things, like a folder, can't have a second name.
      refuseOddLock(shared, name, lstatSync(shared, { throwIfNoEntry: false }), 1);
      throw fileError("file", "make the lock file", name, error);
    }
  }
  refuseOddLock(shared, name, lstatSync(own, { throwIfNoEntry: false }), 2);
  const lock = await openLock(own, name);
  if (lock === undefined || isSameFile(shared, own)) return lock;
  // It was replaced meanwhile, so other runs lock another file.
  lock[Symbol.dispose]();
  return undefined;
}

function isSameFile(one: string, other: string): boolean {
  const [a, b] = [one, other].map((path) => lstatSync(path, { bigint: true, throwIfNoEntry: false }));
  return a !== undefined && a.ino === b?.ino && a.dev === b.dev;
}

const busyCode = 75;

/**
 * Tries once to lock the folder of a thing with flock(2). The runtime lacks that call, so flock(1) locks the descriptor
 * that it shares with us. Any user who can read the folder can hold the lock as well; then this run times out.
 *
 * @returns undefined while another process holds the lock
 */
function lockDescriptor({ folder, name }: LockedThing): Disposable | undefined {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const { exitCode } = Bun.spawnSync(
      ["flock", "--nonblock", "--conflict-exit-code", String(busyCode), "3"],
      {
        stdio: ["ignore", "ignore", "ignore", fd],
        env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
      },
    );
    if (exitCode === 0) return { [Symbol.dispose]: () => closeSync(fd) };
    closeSync(fd);
    if (exitCode === busyCode) return undefined;
  } catch (error) {
    closeSync(fd);
    throw noLock(name, error);
  }
  throw noLock(name);
}

function noLock(name: string, cause?: unknown): Failure {
  const where = process.geteuid?.() === 0 ? rootFolder : "$XDG_STATE_HOME/vault-helper";
  return new Failure("file", `can't lock ${printable(name)}: ${where} can't be made`, {
    hint: "make the folder, or allow this run to write there; otherwise flock (util-linux) is needed",
    cause,
  });
}
