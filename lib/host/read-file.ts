import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { ExitCode, Failure } from "../failure.ts";
import { errorCode, fileError, printable } from "./file-error.ts";

export interface FileContent {
  readonly text: string;
  readonly stats: Stats;
}

/**
 * Reads a small file whole.
 *
 * @param maxBytes more is refused, and not read
 * @returns undefined where there is no such file
 * @throws Failure (data) when it is not a plain file or too long; (no permission) when it may not be read
 */
export function readSmallFile(path: string, maxBytes: number): FileContent | undefined {
  let fd: number;
  try {
    // Without waiting, should it be a FIFO.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT") return undefined;
    throw fileError(code === "EACCES" ? ExitCode.noPermission : ExitCode.data, "read", path, error);
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new Failure(ExitCode.data, `${printable(path)} is not a plain file`);
    const buffer = Buffer.alloc(maxBytes + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < buffer.length; length += read) {
      read = readSync(fd, buffer, length, buffer.length - length, null);
    }
    if (length > maxBytes) {
      throw new Failure(ExitCode.data, `${printable(path)} is longer than ${maxBytes} bytes`, {
        hint: "it can't hold what it should; look at it, and remove or mend it",
      });
    }
    return { text: buffer.toString("utf8", 0, length), stats };
  } catch (error) {
    throw fileError(ExitCode.data, "read", path, error);
  } finally {
    closeSync(fd);
  }
}
