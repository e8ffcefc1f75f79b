import { readlinkSync, type Stats, statSync } from "node:fs";
import { basename, dirname, isAbsolute, resolve } from "node:path";
import { Failure } from "../failure.ts";
import { fileError, printable } from "./file-error.ts";

/**
 * The absolute path, without `.` and `..`.
 *
 * @throws Failure (config) for a relative path when the working folder has been removed: the runtime would silently
 *   resolve it against its own executable's folder
 */
export function fullPath(path: string): string {
  if (!isAbsolute(path) && readlinkSync("/proc/self/cwd").endsWith(" (deleted)")) {
    throw new Failure("config", "the working folder no longer exists", {
      hint: "give absolute paths, or change into another folder",
    });
  }
  return resolve(path);
}

/** Whether a path ends in a file's own name and holds no control characters. */
export function isFilePath(path: string): boolean {
  return !/(^|\/)\.{0,2}$/.test(path) && !/\p{Cc}/u.test(fullPath(path));
}

/**
 * Whether two paths name the same file. Their folders are compared by inode, so links and mounts make no difference.
 *
 * @throws Failure (file) when a folder can't be examined
 */
export function isSameFilePath(a: string, b: string): boolean {
  if (basename(a) !== basename(b)) return false;
  if (fullPath(a) === fullPath(b)) return true;
  const [one, other] = [folderStats(a), folderStats(b)];
  return one !== undefined && one.ino === other?.ino && one.dev === other.dev;
}

function folderStats(path: string): Stats | undefined {
  try {
    return statSync(dirname(path), { throwIfNoEntry: false });
  } catch (error) {
    throw fileError("file", "look at", dirname(path), error);
  }
}

/** The name of the folder with a destination's certificate sets, which is beside the destination's files. */
export function setFolderName(base: string): string {
  return `.${base}.set`;
}

/**
 * Refuses a path that leads into such a folder. A file there could be deleted with its set, or take the place of a lock
 * of release 1.0.0.
 *
 * @param name the whole path, for messages
 * @throws Failure (usage)
 */
export function refuseSetFolders(parts: readonly string[], name: string): void {
  const part = parts.find((it) => /^\..+\.set$/.test(it));
  if (part === undefined) return;
  throw new Failure(
    "usage",
    `${printable(part)} in the path ${printable(name)} is reserved for the files of one certificate`,
    { hint: "nothing was changed; give a path outside that folder" },
  );
}
