import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  futimesSync,
  lchownSync,
  lstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";

/** The owner and group of a file. */
export interface Ownership {
  readonly uid: number;
  readonly gid: number;
}

export interface FileAttributes {
  readonly mode: number;
  /** Bits of the mode that a file must have, for `setAttributes`. @default none */
  readonly least?: number;
  readonly owner?: Ownership | undefined;
}

/**
 * Makes a new file. Its mode and owner are set before any content is written. The content is on the disk when this
 * returns, but the file's name only after `syncFolder`.
 *
 * @throws the system's error; then there is no file
 */
export function createFile(path: string, content: string, attributes: FileAttributes): void {
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
  const fd = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    try {
      // Set the mode first: with CAP_CHOWN alone, the mode of another user's file can't be changed.
      fchmodSync(fd, attributes.mode);
      if (attributes.owner !== undefined) fchownSync(fd, attributes.owner.uid, attributes.owner.gid);
      writeAll(fd, Buffer.from(content));
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  }
}

/** Writes all of the content at the file's position. A single call may write only a part. Throws the system's error. */
export function writeAll(fd: number, content: Buffer): void {
  for (let done = 0; done < content.length; ) done += writeSync(fd, content, done);
}

/** The outcome of `setAttributes`. */
export type AttributesOutcome = "right" | "fixed" | "linked";

/**
 * Corrects the mode and owner of a file: removes bits that are too wide, adds required ones, and sets the owner. Never
 * follows a symbolic link. Leaves a file with a second name (a hard link) alone, since it could be any file.
 *
 * @param isOurFolder only trusted users can add names to its folder, so a second name is harmless
 * @returns "linked" for a file that was left alone because of its second name
 * @throws the system's error
 */
export function setAttributes(
  path: string,
  attributes: FileAttributes,
  isOurFolder = false,
): AttributesOutcome {
  const { mode, least = 0, owner } = attributes;
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  try {
    const stats = fstatSync(fd);
    const { isWide, isNarrow, isForeign } = compareAttributes(stats, attributes);
    if (!isWide && !isNarrow && !isForeign) return "right";
    if (stats.nlink > 1 && !isOurFolder) return "linked";
    if (isWide) fchmodSync(fd, isNarrow ? mode & stats.mode : mode);
    // Set the group before adding bits, so that only the new group gains access. The owner comes last, see createFile.
    if (isForeign && owner !== undefined && isNarrow) fchownSync(fd, stats.uid, owner.gid);
    if (isNarrow) fchmodSync(fd, (stats.mode & mode) | least);
    if (isForeign && owner !== undefined) fchownSync(fd, owner.uid, owner.gid);
    return "fixed";
  } finally {
    closeSync(fd);
  }
}

/** How a file's attributes differ: its mode is too wide, its mode lacks required bits, or its owner is another one. */
export function compareAttributes(
  found: Ownership & { readonly mode: number },
  { mode, least = 0, owner }: FileAttributes,
): { readonly isWide: boolean; readonly isNarrow: boolean; readonly isForeign: boolean } {
  return {
    isWide: (found.mode & 0o7777 & ~mode) !== 0,
    isNarrow: (least & ~found.mode) !== 0,
    isForeign: owner !== undefined && (found.uid !== owner.uid || found.gid !== owner.gid),
  };
}

/**
 * Replaces a file atomically. Readers see either the whole old content or the whole new content, even after a power cut.
 *
 * @throws the system's error; then the old content is still there, unless only the sync of the folder failed
 */
export function replaceFile(path: string, content: string, attributes: FileAttributes): void {
  const temporary = temporaryName(path);
  createFile(temporary, content, attributes);
  moveInto(temporary, path);
}

/** Replaces a symbolic link, or a file, with a link atomically. */
export function replaceLink(path: string, target: string): void {
  const temporary = temporaryName(path);
  symlinkSync(target, temporary);
  moveInto(temporary, path);
}

function moveInto(temporary: string, path: string): void {
  try {
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  syncFolder(dirname(path));
}

/** Writes a folder's names to the disk. Otherwise a new or renamed file may be lost in a power cut. */
export function syncFolder(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Sets a file's time to now, and makes the file if it is missing. Not synced: losing the file does no harm. */
export function touch(path: string): void {
  const { O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_WRONLY } = constants;
  // O_NONBLOCK, because opening a FIFO could wait forever.
  const fd = openSync(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
  try {
    const now = new Date();
    futimesSync(fd, now, now);
  } finally {
    closeSync(fd);
  }
}

/**
 * Gives a file the owner and group that it has. That changes nothing but its ctime, yet those who watch the file are
 * woken (IN_ATTRIB of inotify). It needs no more rights than giving the file away; setting its times would need
 * CAP_FOWNER for another user's file. Does nothing if the file is missing. Throws the system's error.
 */
export function wakeWatchers(path: string): void {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats !== undefined) lchownSync(path, stats.uid, stats.gid);
}

const temporarySuffix = /^\.tmp-[0-9a-f]{12}$/;

/** In the same folder, since a rename is atomic only within one file system. */
function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.tmp-${randomHex(6)}`);
}

/** Doesn't use node:crypto, which takes longer to load than everything else in a token renewal. */
export function randomHex(bytes: number): string {
  return crypto.getRandomValues(new Uint8Array(bytes)).toHex();
}

/** The largest folder that is read, by the size of the folder itself. It has room for tens of thousands of names. */
const maxFolderBytes = 1024 * 1024;

/**
 * The names in a folder. Its owner may have filled it with names, and reading millions of them would take more memory
 * and time than a run has.
 *
 * @returns undefined when there are too many
 * @throws the system's error
 */
export function namesIn(path: string): readonly string[] | undefined {
  return statSync(path).size > maxFolderBytes ? undefined : readdirSync(path);
}

export interface TemporariesOptions {
  /** Keeps newer files, which another run may still be writing if no lock prevents that. @default 0 */
  readonly olderThanSeconds?: number;
  /** The owner of the final file, who may own the temporary one already. */
  readonly owner?: Ownership | undefined;
}

/**
 * Removes temporary files of a path, left by runs that were killed in `replaceFile` or `replaceLink`. Skips folders and
 * other users' files. Does nothing if the folder holds too many names.
 */
export function removeTemporaries(
  path: string,
  { olderThanSeconds = 0, owner }: TemporariesOptions = {},
): void {
  const start = `.${basename(path)}`;
  for (const name of namesIn(dirname(path)) ?? []) {
    if (!name.startsWith(start) || !temporarySuffix.test(name.slice(start.length))) continue;
    const temporary = join(dirname(path), name);
    const stats = lstatSync(temporary, { throwIfNoEntry: false });
    if (stats === undefined || stats.isDirectory()) continue;
    if (stats.uid !== process.geteuid?.() && stats.uid !== owner?.uid) continue;
    const ageMs = Date.now() - stats.mtimeMs;
    if (olderThanSeconds === 0 || ageMs > olderThanSeconds * 1000) rmSync(temporary, { force: true });
  }
}
