import { lstatSync } from "node:fs";
import { basename, dirname } from "node:path";
import { Failure } from "../failure.ts";
import { isTrusted } from "./access.ts";
import { compareAttributes, type Ownership, removeTemporaries, replaceFile } from "./durable.ts";
import { errorCode, fileError, printable } from "./file-error.ts";
import { type Folder, openFolder } from "./folder.ts";
import { takeHostLock } from "./host-lock.ts";
import type { LockOptions } from "./lock.ts";
import { fullPath, isFilePath, isSameFilePath } from "./path.ts";
import { readSmallFile } from "./read-file.ts";

/** A kubeconfig's file as it stands. */
export interface StandingFile {
  /** Empty where there is none. */
  readonly text: string;
  /** It is nobody else's to read, and the owner's. */
  readonly isRight: boolean;
}

/** A kubeconfig's file that no other run changes meanwhile. */
export interface LockedFile extends Disposable {
  read(): StandingFile;
  /**
   * Puts a text in the place of what stands, at one moment, with mode 0600 from its first byte.
   *
   * @throws Failure (file); then the old content stands
   */
  replace(text: string): void;
}

/** A thousand clusters' worth. */
const maxBytes = 4 * 1024 * 1024;

/** NAME_MAX, less what our temporary name beside it adds; and what release 1.0.0 can lock, should a host go back to it. */
const longestName = 255 - ".".length - ".tmp-0123456789ab".length;
const longestPath = 511 - "/..lock/lock-journal".length;

/**
 * The full path of a kubeconfig.
 *
 * @param taken paths that have something else in them, and what that is
 * @throws Failure (usage) for a path that is no file's, or one of those
 */
export function kubeconfigPath(
  path: string,
  taken: ReadonlyArray<readonly [path: string, what: string]>,
): string {
  if (!isFilePath(path)) {
    throw new Failure("usage", `${JSON.stringify(path)} can't be a kubeconfig's path`, {
      hint: "give the path with the file's own name at its end",
    });
  }
  const name = fullPath(path);
  if (Buffer.byteLength(basename(name)) > longestName || Buffer.byteLength(name) > longestPath) {
    throw new Failure("usage", `${printable(name)} is too long for a kubeconfig's path`, {
      hint: `its last part may have ${longestName} bytes, and all of it ${longestPath}`,
    });
  }
  const used = taken.find(([other]) => isSameFilePath(name, other));
  if (used === undefined) return name;
  throw new Failure("usage", `${printable(name)} can't be a kubeconfig: it is ${used[1]}`, {
    hint: "nothing was changed; choose another path",
  });
}

/**
 * Reads a kubeconfig's file. Writes nothing.
 *
 * @throws Failure where it could not be replaced: a link, another user's file, no plain one
 */
export function readKubeconfigFile(name: string, owner: Ownership | undefined): StandingFile {
  let folder: Folder;
  try {
    folder = openFolder(dirname(name));
  } catch (error) {
    if (errorCode(error) === "ENOENT") return { text: "", isRight: false };
    throw fileError("file", "open the folder", dirname(name), error);
  }
  using _ = folder;
  return read(folder, name, owner);
}

/**
 * Makes a kubeconfig's folder where it is missing (0750, the owner's), and locks the file for this run.
 *
 * @throws Failure (file); (temporary) when another run holds it for too long
 */
export async function lockKubeconfigFile(
  name: string,
  owner: Ownership | undefined,
  options: LockOptions,
): Promise<LockedFile> {
  const path = dirname(name);
  let folder: Folder | undefined;
  try {
    folder = openFolder(path, { mode: 0o750, owner });
    const thing = { kind: "kubeconfig", folder: folder.path, base: basename(name), name } as const;
    return locked(folder, await takeHostLock(thing, options), name, owner);
  } catch (error) {
    folder?.[Symbol.dispose]();
    throw fileError("file", "make the folder", path, error);
  }
}

function locked(folder: Folder, lock: Disposable, name: string, owner: Ownership | undefined): LockedFile {
  const path = `${folder.path}/${basename(name)}`;
  return {
    read: () => read(folder, name, owner),
    replace(text) {
      try {
        removeTemporaries(path, { owner });
        replaceFile(path, text, { mode: 0o600, owner: owner ?? inherited(path) });
      } catch (error) {
        throw fileError("file", "write", name, error);
      }
    },
    [Symbol.dispose]() {
      lock[Symbol.dispose]();
      folder[Symbol.dispose]();
    },
  };
}

function read(folder: Folder, name: string, owner: Ownership | undefined): StandingFile {
  const file = readSmallFile(`${folder.path}/${basename(name)}`, maxBytes, name);
  if (file === undefined) return { text: "", isRight: false };
  requireOwner(name, file.stats.uid, owner);
  const { isWide, isForeign } = compareAttributes(file.stats, { mode: 0o600, owner });
  return { text: file.text, isRight: !isWide && !isForeign };
}

/** Somebody else's file would get the key, or an owner who was not asked for. */
function requireOwner(name: string, uid: number, owner: Ownership | undefined): void {
  if (isTrusted(uid) || uid === owner?.uid) return;
  throw new Failure("permission", `${printable(name)} belongs to another user (${uid})`, {
    hint: `nothing was changed; give --owner ${uid} if it is to be theirs, or remove it`,
  });
}

/** Root's file keeps its group. Only root can give files away. */
function inherited(path: string): Ownership | undefined {
  if (process.geteuid?.() !== 0) return undefined;
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return stats?.uid === 0 ? { uid: 0, gid: stats.gid } : undefined;
}
