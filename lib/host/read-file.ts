import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { ExitCode, Failure } from "../failure.ts";
import { errorCode, fileError, printable } from "./file-error.ts";
import { isOurs } from "./trust.ts";

export interface FileContent {
  readonly text: string;
  readonly stats: Stats;
}

/** What is wrong with the path itself; all else is the system's fault. */
const exitCodes: Readonly<Record<string, ExitCode>> = {
  EACCES: ExitCode.noPermission,
  EPERM: ExitCode.noPermission,
  ELOOP: ExitCode.data,
  ENOTDIR: ExitCode.data,
  ENXIO: ExitCode.data,
};

/**
 * Reads a small file whole. The last part of its path may be no symbolic link.
 *
 * @param path for the call; `name` is what people know it by
 * @param maxBytes more is refused, and not read
 * @returns undefined where there is no such file
 * @throws Failure (data) when it is not a plain file or too long; (no permission) when it may not be read; (can't
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
    throw fileError(exitCodes[code] ?? ExitCode.cantCreate, "read", name, error);
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new Failure(ExitCode.data, `${printable(name)} is not a plain file`);
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
      throw new Failure(ExitCode.data, `${printable(name)} is longer than ${maxBytes} bytes`, {
        hint: "it can't hold what it should; look at it, and remove or mend it",
      });
    }
    return { text: buffer.toString("utf8", 0, length), stats };
  } catch (error) {
    throw fileError(ExitCode.cantCreate, "read", name, error);
  } finally {
    closeSync(fd);
  }
}

/**
 * Refuses what somebody else than root and the running user can write.
 *
 * @param risk what they would decide
 * @throws Failure (configuration)
 */
export function requireOurs(path: string, stats: Stats, risk: string): void {
  if (isOurs(stats)) return;
  throw new Failure(ExitCode.config, `${printable(path)} can be written by others`, {
    hint: `${risk}; chown root ${printable(path)} and chmod go-w ${printable(path)}`,
  });
}
