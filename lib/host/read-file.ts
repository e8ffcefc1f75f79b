import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
  type Stats,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { Failure, type FailureKind } from "../failure.ts";
import { isOurs, isTrusted } from "./access.ts";
import { errorCode, fileError, printable } from "./file-error.ts";
import { keepFoldersOpen, maxLinks } from "./folder.ts";

export interface FileContent {
  readonly text: string;
  readonly stats: Stats;
}

/** What is wrong with the path itself; all else is the system's fault. */
const kinds: Readonly<Record<string, FailureKind>> = {
  EACCES: "permission",
  EPERM: "permission",
  ELOOP: "data",
  ENOTDIR: "data",
  ENXIO: "data",
};

/**
 * Reads a small file whole. The last part of its path may be no symbolic link.
 *
 * @param path for the call; `name` is what people know it by
 * @param maxBytes more is refused, and not read
 * @returns undefined where there is no such file
 * @throws Failure (data) when it is not a plain file or too long; (permission) when it may not be read; (can't
 *   write) when the disk or the system fails
 */
export function readSmallFile(path: string, maxBytes: number, name = path): FileContent | undefined {
  let fd: number;
  try {
    // Without waiting, should it be a FIFO.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT") return undefined;
    throw fileError(kinds[code] ?? "file", "read", name, error);
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new Failure("data", `${printable(name)} is not a plain file`);
    // A byte more than there is, for a file that grows meanwhile, and one more than there may be.
    let buffer = Buffer.alloc(Math.min(stats.size, maxBytes) + 1);
    let length = 0;
    for (let isOver = false; !isOver && length <= maxBytes; ) {
      if (length === buffer.length) buffer = Buffer.concat([buffer], Math.min(2 * length, maxBytes + 1));
      const read = readSync(fd, buffer, length, buffer.length - length, null);
      length += read;
      // There was room for more, and no more came.
      isOver = read === 0 || (length === stats.size && length < buffer.length);
    }
    if (length > maxBytes) {
      throw new Failure("data", `${printable(name)} is longer than ${maxBytes} bytes`, {
        hint: "it can't hold what it should; look at it, and remove or mend it",
      });
    }
    return { text: buffer.toString("utf8", 0, length), stats };
  } catch (error) {
    throw fileError("file", "read", name, error);
  } finally {
    closeSync(fd);
  }
}

/**
 * Reads a small file that decides what is done: one that nobody but root and the running user can write. It may be a
 * symbolic link of theirs to such a file, where nobody else can put another link or file in its place.
 *
 * @param risk what others would decide
 * @returns undefined where there is none
 * @throws Failure (config) for another's file or link, and for a link to nothing; else as `readSmallFile`
 */
export function readOurFile(path: string, maxBytes: number, risk: string): FileContent | undefined {
  const file = readThroughOurLinks(path, maxBytes);
  if (file !== undefined) requireOurs(path, file.stats, risk);
  return file;
}

/**
 * Reads a small file, which may be a symbolic link of root's or the running user's, where nobody else can put another
 * link or file in its place: Kubernetes mounts each secret so.
 *
 * @returns undefined where there is none
 * @throws Failure (config) for another's link, and for a link to nothing; else as `readSmallFile`
 */
export function readThroughOurLinks(path: string, maxBytes: number): FileContent | undefined {
  const found = throughOurLinks(path);
  const file = readSmallFile(found, maxBytes, path);
  if (file !== undefined || found === path) return file;
  throw linkFailure(path, `leads to no file: ${printable(found)}`);
}

/** The path itself where it is no link. What can't be looked at is for the call that reads it to tell. */
function throughOurLinks(path: string): string {
  if (lookAt(path)?.isSymbolicLink() !== true) return path;
  using folders = keepFoldersOpen();
  let found = path;
  for (let links = 0; links <= maxLinks; links++) {
    const stats = lookAt(found);
    if (stats === undefined) return found;
    const folder = folders.open(dirname(found));
    if (folder.isLasting !== true || !isTrusted(stats.uid)) {
      throw linkFailure(path, `is not followed, since others can replace ${printable(found)}`);
    }
    const real = join(folder.path, basename(found));
    if (!stats.isSymbolicLink()) return real;
    found = resolve(folder.path, readlinkSync(real));
  }
  throw linkFailure(path, "leads to another without end");
}

function lookAt(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    return undefined;
  }
}

function linkFailure(path: string, why: string): Failure {
  return new Failure("config", `${printable(path)} is a symbolic link that ${why}`, {
    hint: "put the file itself there, or let root's own link lead to a file that only root can write",
  });
}

/**
 * Refuses what somebody else than root and the running user can write.
 *
 * @param risk what they would decide
 * @throws Failure (config)
 */
export function requireOurs(path: string, stats: Stats, risk: string): void {
  if (isOurs(stats)) return;
  throw new Failure("config", `${printable(path)} can be written by others`, {
    hint: `${risk}; chown root ${printable(path)} and chmod go-w ${printable(path)}`,
  });
}
