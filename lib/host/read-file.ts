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

/** Errors that come from the path itself. All others are faults of the system. */
const kinds: Readonly<Record<string, FailureKind>> = {
  EACCES: "permission",
  EPERM: "permission",
  ELOOP: "data",
  ENOTDIR: "data",
  ENXIO: "data",
};

/**
 * Reads a whole small file. Refuses a symbolic link as the last part of the path.
 *
 * @param path for system calls; `name` is the path for messages
 * @param maxBytes longer files are refused
 * @returns undefined when there is no such file
 * @throws Failure (data) when it is not a plain file or too long; (permission) when this user can't read it; (file) when
 *   the disk or the system fails
 */
export function readSmallFile(path: string, maxBytes: number, name = path): FileContent | undefined {
  let fd: number;
  try {
    // O_NONBLOCK, because opening a FIFO could wait forever.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT") return undefined;
    throw fileError(kinds[code] ?? "file", "read", name, error);
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new Failure("data", `${printable(name)} is not a plain file`);
    // One byte more than the file's size shows whether it has grown. One more than the limit shows that it is too long.
    let buffer = Buffer.alloc(Math.min(stats.size, maxBytes) + 1);
    let length = 0;
    for (let isOver = false; !isOver && length <= maxBytes; ) {
      if (length === buffer.length) buffer = Buffer.concat([buffer], Math.min(2 * length, maxBytes + 1));
      const read = readSync(fd, buffer, length, buffer.length - length, null);
      length += read;
      // At the end: the buffer had room for more bytes, and none came.
      isOver = read === 0 || (length === stats.size && length < buffer.length);
    }
    if (length > maxBytes) {
      throw new Failure("data", `${printable(name)} is longer than ${maxBytes} bytes`, {
        hint: "no valid file is that long; look at it, then fix or remove it",
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
 * Reads a small file that only trusted users can write, such as a configuration. Symbolic links are allowed as in
 * `readThroughOurLinks`.
 *
 * @param risk what could happen otherwise, for the hint
 * @returns undefined when there is no file
 * @throws Failure (config) when others can write the file, for a foreign link, and for a link to nothing; otherwise as
 *   `readSmallFile`
 */
export function readOurFile(path: string, maxBytes: number, risk: string): FileContent | undefined {
  const file = readThroughOurLinks(path, maxBytes);
  if (file !== undefined) requireOurs(path, file.stats, risk);
  return file;
}

/**
 * Reads a small file that may be a symbolic link, as in Kubernetes' mounted secrets. Each link has to belong to a trusted
 * user and be in a folder where nobody else can replace it.
 *
 * @returns undefined when there is no file
 * @throws Failure (config) for a foreign link, and for a link to nothing; otherwise as `readSmallFile`
 */
export function readThroughOurLinks(path: string, maxBytes: number): FileContent | undefined {
  const found = followOurLinks(path);
  const file = readSmallFile(found, maxBytes, path);
  if (file !== undefined || found === path) return file;
  throw linkFailure(path, `leads to no file: ${printable(found)}`);
}

/** The path that links lead to. Returns a path that can't be examined unchanged, since reading it reports the error. */
function followOurLinks(path: string): string {
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
  throw linkFailure(path, "leads into an endless loop");
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
    hint: "put a plain file there, or a link of root's to a file that only root can write",
  });
}

/**
 * Refuses a file that an untrusted user can write.
 *
 * @param risk what could happen otherwise, for the hint
 * @throws Failure (config)
 */
export function requireOurs(path: string, stats: Stats, risk: string): void {
  if (isOurs(stats)) return;
  throw new Failure("config", `${printable(path)} can be written by others`, {
    hint: `${risk}; chown root ${printable(path)} and chmod go-w ${printable(path)}`,
  });
}
