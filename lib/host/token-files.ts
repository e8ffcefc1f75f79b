import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  rmSync,
  type Stats,
  statSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { Failure } from "../failure.ts";
import { isOurs, isTrusted } from "./access.ts";
import {
  type AttributesOutcome,
  removeTemporaries,
  replaceFile,
  setAttributes,
  syncFolder,
  writeAll,
} from "./durable.ts";
import { errorCode, fileError, printable } from "./file-error.ts";
import { openFolder } from "./folder.ts";
import { readSmallFile, readThroughOurLinks } from "./read-file.ts";

/** A host's token files, in its configuration folder. */
export interface TokenPaths {
  readonly token: string;
  readonly initToken: string;
  /** An init token as a credential of the unit: read-only, and removed when the run ends. */
  readonly credential?: string;
}

/**
 * @param credentialsPath the folder with the unit's credentials, if it has any
 * @see https://systemd.io/CREDENTIALS/
 */
export function tokenPaths(configPath: string, credentialsPath?: string): TokenPaths {
  return {
    token: join(configPath, "token"),
    initToken: join(configPath, "init-token"),
    ...(credentialsPath === undefined ? {} : { credential: join(credentialsPath, "init-token") }),
  };
}

/** The content of a token file. */
export type TokenFile =
  | { readonly state: "missing" | "empty" | "blank" }
  | { readonly state: "filled"; readonly token: string; readonly isWide: boolean };

/** Longer than any token that a server makes. */
const maxTokenBytes = 8192;

/**
 * Reads a token file.
 *
 * @param read how to read it; by default not through links, since the file may be replaced later
 * @throws Failure (data) when it is too long or holds something other than a token; (permission) when this user can't
 *   read it or another user owns it
 */
export function readTokenFile(path: string, read = readSmallFile): TokenFile {
  const file = read(path, maxTokenBytes);
  if (file === undefined) return { state: "missing" };
  requireOwner(path, file.stats);
  if (file.text === "") return { state: "empty" };
  // After a power cut, content that had not reached the disk is zeros.
  if (/^[\x21-\x7e\s]*\0[\x21-\x7e\s\0]*$/.test(file.text)) return { state: "blank" };
  const token = file.text.trim();
  if (token === "") return { state: "blank" };
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new Failure("data", `${printable(path)} holds something that is not a token`, {
      hint: "a token is one word of printable characters; write a new one, or remove the file",
    });
  }
  return { state: "filled", token, isWide: (file.stats.mode & 0o077) !== 0 };
}

/**
 * Reads a token file that is maintained by others. It may be a link, see `readThroughOurLinks`.
 *
 * @returns undefined when it holds no token
 * @throws Failure as `readTokenFile`; (config) for a link that is not followed
 */
export function readGivenToken(path: string): string | undefined {
  const file = readTokenFile(path, readThroughOurLinks);
  return file.state === "filled" ? file.token : undefined;
}

/**
 * Sets a token file's mode to 0600. The Go tool made its file readable by all users.
 *
 * @returns as `setAttributes`
 * @throws Failure (file)
 */
export function narrowTokenFile(path: string): AttributesOutcome {
  try {
    using folder = openFolder(dirname(path));
    return setAttributes(path, { mode: 0o600 }, folder.isSteady && isOurs(folder.stats));
  } catch (error) {
    throw fileError("file", "narrow the mode of", path, error, "others may read the token in it");
  }
}

/** The owner of a file can change it, and so choose the token that root uses. */
function requireOwner(path: string, { uid }: Stats): void {
  if (isTrusted(uid)) return;
  throw new Failure("permission", `${printable(path)} belongs to another user (${uid})`, {
    hint: `find out how it got there; if it is right, chown root ${printable(path)}`,
  });
}

/**
 * Stores the host token durably. The file is replaced atomically if possible. If only the file itself is writable, it is
 * changed in place. A power cut may then leave a part of the token, which the server doesn't know, and the next run
 * exchanges the init token again.
 *
 * @throws Failure (file)
 */
export function storeToken(path: string, token: string): void {
  const content = `${token}\n`;
  try {
    replaceFile(path, content, { mode: 0o600 });
  } catch (error) {
    if (!isFileAlone(error)) throw fileError("file", "write", path, error);
    changeInPlace("write", path, (fd, sizeBytes) => {
      fchmodSync(fd, 0o600);
      // Overwrite the whole file, so that no reader finds the end of a longer token after the new one.
      writeAll(fd, Buffer.from(content.padEnd(sizeBytes, "\n")));
      ftruncateSync(fd, content.length);
    });
  }
}

/** In a unit's sandbox the folder is read-only and the file is a mount, so it can be written but not replaced. */
function isFileAlone(error: unknown): boolean {
  return ["EROFS", "EBUSY"].includes(errorCode(error));
}

/** @throws Failure (file) */
function changeInPlace(tried: string, path: string, change: (fd: number, sizeBytes: number) => void): void {
  try {
    const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    try {
      change(fd, fstatSync(fd).size);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw fileError("file", tried, path, error);
  }
}

/** Removes temporary files of a token file, left by killed runs. Does nothing when the folder is read-only. */
export function removeTokenTemporaries(path: string): void {
  try {
    removeTemporaries(path);
  } catch (error) {
    if (!isFileAlone(error)) throw fileError("file", "clean up beside", path, error);
  }
}

/**
 * Removes the init token durably. Empties the file if only the file itself is writable.
 *
 * @throws Failure (file)
 */
export function removeInitToken(path: string): void {
  const tried = "remove the init token";
  try {
    rmSync(path, { force: true });
    syncFolder(dirname(path));
  } catch (error) {
    if (!isFileAlone(error)) throw fileError("file", tried, path, error);
    if (lookAt(path)?.size !== 0) changeInPlace(tried, path, (fd) => ftruncateSync(fd, 0));
  }
}

/** A shell makes an empty file before the command fills it. */
const beingFilledMs = 60_000;

/**
 * Whether an init token is left over from the exchange for the host's token: it is older than the host token, or empty.
 * A newer init token was put there by an admin, for a time when the host token is lost.
 *
 * @throws Failure (file) when the disk or the system fails
 */
export function isInitTokenLeftOver(paths: TokenPaths): boolean {
  const [initToken, token] = [lookAt(paths.initToken), lookAt(paths.token)];
  if (initToken === undefined || token === undefined) return false;
  if (initToken.mtimeMs <= token.mtimeMs) return true;
  return initToken.size === 0 && Date.now() - initToken.mtimeMs > beingFilledMs;
}

function lookAt(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw fileError("file", "look at", path, error);
  }
}
