import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
} from "node:fs";
import type { FileAttributes } from "./durable.ts";
import { errorCode } from "./file-error.ts";

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
    if (make !== undefined && isUnfinished(fd, make)) {
      fchmodSync(fd, make.mode);
      if (make.owner !== undefined) fchownSync(fd, make.owner.uid, make.owner.gid);
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

/** Closed to all others until its mode and owner are set. Tells whether it was missing. */
function makeFolder(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o700 });
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
}

/**
 * Whether a folder still has to get its mode and owner: it was made just now, or by a run that was stopped between
 * the two, which leaves it empty, its maker's, and with one of these modes.
 */
function isUnfinished(fd: number, { mode, owner }: FileAttributes): boolean {
  const stats = fstatSync(fd);
  const found = stats.mode & 0o7777;
  const isRight =
    found === mode && (owner === undefined || (stats.uid === owner.uid && stats.gid === owner.gid));
  if (isRight || stats.uid !== process.geteuid?.() || (found !== 0o700 && found !== mode)) return false;
  return readdirSync(`/proc/self/fd/${fd}`).length === 0;
}
