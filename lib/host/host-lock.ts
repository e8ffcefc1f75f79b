import { closeSync, constants, linkSync, lstatSync, mkdirSync, openSync, rmSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { Failure } from "../failure.ts";
import { isOurs } from "./access.ts";
import { errorCode, fileError, printable } from "./file-error.ts";
import { createLockFile, type LockOptions, openLock, refuseOddLock, takeLock, untilHeld } from "./lock.ts";
import { isSameFilePath } from "./path.ts";

/** One thing of a host that one run changes at a time. */
export interface LockedThing {
  readonly kind: "token" | "set" | "hooks" | "kubeconfig";
  /** The folder that it is in, for calls. */
  readonly folder: string;
  /** Its own name in there. */
  readonly base: string;
  /** For people. */
  readonly name: string;
}

/** Of the root user: gone after a boot, as locks may be. */
const rootFolder = "/run/vault-helper";

/**
 * Locks one thing of this host for this run. Root's locks are in /run/vault-helper and another user's in his state
 * folder, where nobody else can put anything in their place: the folder of the thing itself may be another user's.
 *
 *     /run/vault-helper/token.lock   of /etc/vault; the units that talk to the network get this one file
 *     /run/vault-helper/sets/        of certificates; the units that issue may write in it
 *     /run/vault-helper/private/     the same files by a second name, for everybody outside of those units
 *     /run/vault-helper/             all others: no such unit sees them
 *
 * What runs in a unit that issues is root, too, and could put a link, a FIFO or a journal beside a lock in `sets`. So
 * everybody else opens these locks by their names in `private`, which those units don't have.
 *
 * A unit of an older release has no such folder and may not make one. There the lock is on the thing's own folder, by
 * flock(1) on a descriptor of it.
 *
 * @returns the lock, to be disposed of
 * @throws Failure (temporary) when the signal came first; (file) when something else is in the lock's place
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

/** `set-1f-2a3-9c0e…`: the same by whatever path its folder was reached. */
function lockName({ kind, folder, base }: LockedThing): string {
  if (kind === "token" && isSameFilePath(join(folder, base), "/etc/vault/token")) return "token.lock";
  const { dev, ino } = statSync(folder, { bigint: true });
  const digest = new Bun.CryptoHasher("sha256").update(base).digest("hex").slice(0, 16);
  return `${kind}-${dev.toString(16)}-${ino.toString(16)}-${digest}.lock`;
}

/** Undefined where there is none, and none can be made. */
function lockFolder(): string | undefined {
  if (process.geteuid?.() === 0) return makeFolder(rootFolder);
  const state = process.env.XDG_STATE_HOME;
  const home = state?.startsWith("/") ? state : join(process.env.HOME || homedir(), ".local/state");
  return makeFolder(join(home, "vault-helper"));
}

/** Undefined where it is missing and may not be made; throws Failure (file) for one that others can write in. */
function makeFolder(path: string): string | undefined {
  try {
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) makeAll(path);
    const stats = lstatSync(path);
    if (stats.isDirectory() && isOurs(stats)) return path;
  } catch (error) {
    if (["EROFS", "EACCES", "EPERM", "ENOENT", "ENOTDIR"].includes(errorCode(error))) return undefined;
    throw fileError("file", "make the folder", path, error);
  }
  throw new Failure("file", `the folder of locks ${printable(path)} is not this user's alone`, {
    hint: "nothing was changed; look at how it came there, and remove it",
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
  throw new Failure("file", `the folder of locks ${printable(path)} can't be made`, {
    hint: "the unit that runs this has to be of the same release: install its units, then systemctl daemon-reload",
  });
}

/** Inside of a unit that issues: what else is in the folder was put there by such a unit. */
async function openShared(shared: string, name: string): Promise<Disposable | undefined> {
  createLockFile(shared, name);
  const stats = lstatSync(shared, { throwIfNoEntry: false });
  refuseOddLock(shared, name, stats, stats?.nlink === 2 ? 2 : 1);
  return await openLock(shared, name);
}

/** Outside of those units: by a name that they don't have. */
async function openPrivate(shared: string, own: string, name: string): Promise<Disposable | undefined> {
  createLockFile(shared, name);
  if (!isSameFile(shared, own)) {
    rmSync(own, { force: true });
    try {
      linkSync(shared, own);
    } catch (error) {
      // Another run was quicker, or the file has been replaced: the next try sees it.
      if (["EEXIST", "ENOENT"].includes(errorCode(error))) return undefined;
      // A folder, say, can have no second name.
      refuseOddLock(shared, name, lstatSync(shared, { throwIfNoEntry: false }), 1);
      throw fileError("file", "make the lock file", name, error);
    }
  }
  refuseOddLock(shared, name, lstatSync(own, { throwIfNoEntry: false }), 2);
  const lock = await openLock(own, name);
  if (lock === undefined || isSameFile(shared, own)) return lock;
  // Replaced since: others lock another file by now.
  lock[Symbol.dispose]();
  return undefined;
}

function isSameFile(one: string, other: string): boolean {
  const [a, b] = [one, other].map((path) => lstatSync(path, { bigint: true, throwIfNoEntry: false }));
  return a !== undefined && a.ino === b?.ino && a.dev === b.dev;
}

const busyCode = 75;

/**
 * One try at a lock on the folder of a thing, as whoever holds its descriptor holds it (flock(2)): a program takes it
 * for us, as the runtime can't. Other users who may read the folder could hold it, too; then this run ends in time.
 *
 * @returns undefined while another process holds it
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
    hint: "make the folder, or let this run write there; without it, flock (util-linux) is needed",
    cause,
  });
}
