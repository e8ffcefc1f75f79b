import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  futimesSync,
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

/** Who a file belongs to; undefined leaves it to whoever runs. */
export interface Ownership {
  readonly uid: number;
  readonly gid: number;
}

export interface FileAttributes {
  readonly mode: number;
  /** Bits of it that have to be there, where it is put right: none need be, most often. */
  readonly least?: number;
  readonly owner?: Ownership | undefined;
}

/**
 * Makes a file that was not there. Mode and owner stand before the first byte of content, and the content is on
 * the disk when this returns; the name in its folder is once `syncFolder` has.
 *
 * @throws the system's error; then there is no file
 */
export function createFile(path: string, content: string, attributes: FileAttributes): void {
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
  const fd = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    try {
      // In this order: with CAP_CHOWN alone, a file that was given away can't be changed any more.
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

/** Writes all of it at the file's position: the system may take less than it is given. Throws the system's error. */
export function writeAll(fd: number, content: Buffer): void {
  for (let done = 0; done < content.length; ) done += writeSync(fd, content, done);
}

/** What came of `setAttributes`. */
export type Mended = "right" | "mended" | "linked";

/**
 * Takes from a file's mode what is too wide, adds what it lacks, and gives it to its owner. Never through a
 * symbolic link, nor on a file with a second name (a hard link): either could be any file.
 *
 * @param isOurFolder nobody else can make names in its folder, so a second name is its owner's matter
 * @returns "linked" for one that was left because of its second name
 * @throws the system's error
 */
export function setAttributes(path: string, attributes: FileAttributes, isOurFolder = false): Mended {
  const { mode, least = 0, owner } = attributes;
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  try {
    const stats = fstatSync(fd);
    const { isWide, isNarrow, isForeign } = compareAttributes(stats, attributes);
    if (!isWide && !isNarrow && !isForeign) return "right";
    if (stats.nlink > 1 && !isOurFolder) return "linked";
    if (isWide) fchmodSync(fd, isNarrow ? mode & stats.mode : mode);
    // Its new group, and not the one before, gets what is added; and a file that was given away can't be changed.
    if (isForeign && owner !== undefined && isNarrow) fchownSync(fd, stats.uid, owner.gid);
    if (isNarrow) fchmodSync(fd, (stats.mode & mode) | least);
    if (isForeign && owner !== undefined) fchownSync(fd, owner.uid, owner.gid);
    return "mended";
  } finally {
    closeSync(fd);
  }
}

/** What a file has and should not: a mode that is too wide or lacks something, and another owner. */
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
 * Puts a file in a path's place at one moment: a reader meets the old content or the new one, whole, and after a
 * power cut so does the next boot.
 *
 * @throws the system's error; then the old content stands, unless it was only that the folder can't be synced
 */
export function replaceFile(path: string, content: string, attributes: FileAttributes): void {
  const temporary = temporaryName(path);
  createFile(temporary, content, attributes);
  moveInto(temporary, path);
}

/** Puts a symbolic link in a path's place at one moment. */
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

/** Brings a folder's names to the disk: without it, a new or renamed file may be gone after a power cut. */
export function syncFolder(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Sets a file's time to now, and makes it where it is missing. It has no content, and may be lost with no harm. */
export function touch(path: string): void {
  const { O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_WRONLY } = constants;
  // Without waiting, should it be a FIFO.
  const fd = openSync(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
  try {
    const now = new Date();
    futimesSync(fd, now, now);
  } finally {
    closeSync(fd);
  }
}

const temporarySuffix = /^\.tmp-[0-9a-f]{12}$/;

/** In the same folder, since a rename to another may be a copy. */
function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.tmp-${randomHex(6)}`);
}

/** Not by node:crypto: that takes longer to load than the rest of a token's renewal. */
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

export interface LeftOver {
  /** Spares those of a run that is under way, where no lock keeps others out. @default 0 */
  readonly olderThanSeconds?: number;
  /** Of the file that was to be: a run that was killed may have given it away already. */
  readonly owner?: Ownership | undefined;
}

/**
 * Removes what runs that were killed in the middle of `replaceFile` or `replaceLink` left of a path. What has such a
 * name and is another user's, or a folder, is left alone; and all, where others have filled the folder with names.
 */
export function removeTemporaries(path: string, { olderThanSeconds = 0, owner }: LeftOver = {}): void {
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
