import { type Stats, statSync } from "node:fs";
import { basename, dirname } from "node:path";
import { fileError } from "./file-error.ts";
import { fullPath } from "./full-path.ts";

/** Whether a path has a file's own name at its end, and nothing in it that writes on a terminal as it likes. */
export function isFilePath(path: string): boolean {
  return !/(^|\/)\.{0,2}$/.test(path) && !/\p{Cc}/u.test(fullPath(path));
}

/**
 * Whether two paths are one file's: by what their folders are, not by what they are called.
 *
 * @throws Failure (file) where a folder may not be looked at
 */
export function isSamePlace(a: string, b: string): boolean {
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
