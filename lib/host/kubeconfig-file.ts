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

/** The content and state of a kubeconfig file. */
export interface StoredKubeconfig {
  /** Empty if the file is missing. */
  readonly text: string;
  /** Only its owner can read it, and it is the right owner. */
  readonly isRight: boolean;
}

/** A kubeconfig file that is locked against other runs. */
export interface LockedKubeconfig extends Disposable {
  read(): StoredKubeconfig;
  /**
   * Replaces the file atomically. The new file has mode 0600 from the start.
   *
   * @throws Failure (file); then the old content is still there
   */
  replace(text: string): void;
}

/** Enough for a thousand clusters. */
const maxBytes = 4 * 1024 * 1024;

/** NAME_MAX minus the additions of our temporary names. */
const longestName = 255 - ".".length - ".tmp-0123456789ab".length;
/** The longest path that release 1.0.0 could lock, in case a host goes back to it. */
const longestPath = 511 - "/..lock/lock-journal".length;

/**
 * The absolute path of a kubeconfig.
 *
 * @param taken paths of other files, each with a description for messages
 * @throws Failure (usage) for a path that can't be a file's, and for a taken one
 */
export function kubeconfigPath(
  path: string,
  taken: ReadonlyArray<readonly [path: string, what: string]>,
): string {
  if (!isFilePath(path)) {
    throw new Failure("usage", `${JSON.stringify(path)} can't be a kubeconfig's path`, {
      hint: "the path has to end with a file name",
    });
  }
  const name = fullPath(path);
  if (Buffer.byteLength(basename(name)) > longestName || Buffer.byteLength(name) > longestPath) {
    throw new Failure("usage", `${printable(name)} is too long for a kubeconfig's path`, {
      hint: `at most ${longestName} bytes in its last part, and ${longestPath} in all`,
    });
  }
  const used = taken.find(([other]) => isSameFilePath(name, other));
  if (used === undefined) return name;
  throw new Failure("usage", `${printable(name)} can't be a kubeconfig: it is ${used[1]}`, {
    hint: "nothing was changed; choose another path",
  });
}

/**
 * Reads a kubeconfig file. Writes nothing.
 *
 * @throws Failure (data) for a link and anything else that is not a plain file; (permission) for another user's file;
 *   (file) when it can't be read
 */
export function readKubeconfigFile(name: string, owner: Ownership | undefined): StoredKubeconfig {
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
 * Locks a kubeconfig file for this run. Makes its folder if it is missing, with mode 0750 and for the owner.
 *
 * @throws Failure (file); (temporary) when another run holds it for too long
 */
export async function lockKubeconfigFile(
  name: string,
  owner: Ownership | undefined,
  options: LockOptions,
): Promise<LockedKubeconfig> {
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

function locked(
  folder: Folder,
  lock: Disposable,
  name: string,
  owner: Ownership | undefined,
): LockedKubeconfig {
  const path = `${folder.path}/${basename(name)}`;
  return {
    read: () => read(folder, name, owner),
    replace(text) {
      try {
        removeTemporaries(path, { owner });
        replaceFile(path, text, { mode: 0o600, owner: owner ?? inheritedOwner(path) });
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

function read(folder: Folder, name: string, owner: Ownership | undefined): StoredKubeconfig {
  const file = readSmallFile(`${folder.path}/${basename(name)}`, maxBytes, name);
  if (file === undefined) return { text: "", isRight: false };
  requireOwner(name, file.stats.uid, owner);
  const { isWide, isForeign } = compareAttributes(file.stats, { mode: 0o600, owner });
  return { text: file.text, isRight: !isWide && !isForeign };
}

/** Replacing another user's file would give them the key, or take the file from them. */
function requireOwner(name: string, uid: number, owner: Ownership | undefined): void {
  if (isTrusted(uid) || uid === owner?.uid) return;
  throw new Failure("permission", `${printable(name)} belongs to another user (${uid})`, {
    hint: `nothing was changed; give --owner ${uid} if it should stay theirs, or remove it`,
  });
}

/** A file of root's keeps its group. Other users can't set a group. */
function inheritedOwner(path: string): Ownership | undefined {
  if (process.geteuid?.() !== 0) return undefined;
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return stats?.uid === 0 ? { uid: 0, gid: stats.gid } : undefined;
}
