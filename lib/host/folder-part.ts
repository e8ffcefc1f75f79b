import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
} from "node:fs";
import type { FileAttributes, Ownership } from "./durable.ts";
import { errorCode } from "./file-error.ts";
import { namesIn } from "./folder-names.ts";

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants;

/**
 * Opens a folder in one that is held open, and no link.
 *
 * @param make makes it so where it is missing, or was made by a run that was stopped before it was done
 * @throws the system's error
 */
export function openPart(parent: number, part: string, make: FileAttributes | undefined): number {
  const path = `/proc/self/fd/${parent}/${part}`;
  if (make !== undefined && makeFolder(path)) fsyncSync(parent);
  const fd = openDirectly(path);
  try {
    if (make !== undefined && isUnfinished(fd, make.owner)) {
      // The mode comes last: until then the folder is known as unfinished.
      if (make.owner !== undefined) fchownSync(fd, make.owner.uid, make.owner.gid);
      fchmodSync(fd, make.mode);
    }
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Follows no link in its place. */
export function openDirectly(path: string): number {
  return openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

/**
 * The mode of a folder that has not got its owner yet. Nobody else makes one like this: it is closed to all others, and
 * sticky, which says nothing where only one user may write. So a run that is stopped leaves one that the next can tell
 * from a folder of an admin's.
 */
const unfinishedMode = 0o1700;

/** Tells whether it was missing. */
function makeFolder(path: string): boolean {
  try {
    mkdirSync(path, { mode: unfinishedMode });
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
}

/** Whether a folder still has to get its mode: this run, or one that was stopped, has made it, and it is empty. */
function isUnfinished(fd: number, owner: Ownership | undefined): boolean {
  const { mode, uid } = fstatSync(fd);
  // A folder in one with the setgid bit has it, too.
  if ((mode & 0o5777) !== unfinishedMode) return false;
  const isOurs = uid === process.geteuid?.() || uid === owner?.uid;
  return isOurs && namesIn(`/proc/self/fd/${fd}`)?.length === 0;
}
