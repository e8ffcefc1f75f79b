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
  type Mended,
  removeTemporaries,
  replaceFile,
  setAttributes,
  syncFolder,
  writeAll,
} from "./durable.ts";
import { errorCode, fileError, printable } from "./file-error.ts";
import { openFolder } from "./folder.ts";
import { readSmallFile, readThroughOurLinks } from "./read-file.ts";

/** Where a host keeps its tokens: the configuration directory's files. */
export interface TokenPaths {
  readonly token: string;
  readonly initToken: string;
  /** An init token that the service manager keeps for this unit: read only, and gone with the run. */
  readonly credential?: string;
}

/**
 * @param credentialsPath the folder of the unit's credentials, where it has any
 * @see https://systemd.io/CREDENTIALS/
 */
export function tokenPaths(configPath: string, credentialsPath?: string): TokenPaths {
  return {
    token: join(configPath, "token"),
    initToken: join(configPath, "init-token"),
    ...(credentialsPath === undefined ? {} : { credential: join(credentialsPath, "init-token") }),
  };
}

/** A token file as it was found. */
export type TokenFile =
  | { readonly state: "missing" | "empty" | "blank" }
  | { readonly state: "filled"; readonly token: string; readonly isWide: boolean };

/** Longer than any token that a server makes. */
const maxTokenBytes = 8192;

/**
 * Reads a token file.
 *
 * @param read the file itself, most often: where a token is to be replaced, a link would be
 * @throws Failure (data) when it is over-long or holds something that is no token; (permission) when it may not
 *   be read
 */
export function readTokenFile(path: string, read = readSmallFile): TokenFile {
  const file = read(path, maxTokenBytes);
  if (file === undefined) return { state: "missing" };
  requireOwner(path, file.stats);
  if (file.text === "") return { state: "empty" };
  // A power cut leaves zeros where the content had not reached the disk.
  if (/^[\x21-\x7e\s]*\0[\x21-\x7e\s\0]*$/.test(file.text)) return { state: "blank" };
  const token = file.text.trim();
  if (token === "") return { state: "blank" };
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new Failure("data", `${printable(path)} holds something that is not a token`, {
      hint: "a token is one word of printable characters; put a new one there, or remove the file",
    });
  }
  return { state: "filled", token, isWide: (file.stats.mode & 0o077) !== 0 };
}

/**
 * Reads a token file that somebody else keeps: it may be a link, see `readThroughOurLinks`.
 *
 * @returns undefined where there is no token in it
 * @throws Failure as `readTokenFile`; (config) for a link that is not followed
 */
export function readGivenToken(path: string): string | undefined {
  const file = readTokenFile(path, readThroughOurLinks);
  return file.state === "filled" ? file.token : undefined;
}

/**
 * Takes a token file's mode to 0600: the Go tool left its own readable by all.
 *
 * @returns as `setAttributes`
 * @throws Failure (file)
 */
export function narrowTokenFile(path: string): Mended {
  try {
    using folder = openFolder(dirname(path));
    return setAttributes(path, { mode: 0o600 }, folder.isSteady && isOurs(folder.stats));
  } catch (error) {
    throw fileError("file", "narrow the mode of", path, error, "others may read the token in it");
  }
}

/** A file's owner can change it, and would decide which token root uses. */
function requireOwner(path: string, { uid }: Stats): void {
  if (isTrusted(uid)) return;
  throw new Failure("permission", `${printable(path)} belongs to another user (${uid})`, {
    hint: `look at how it came there; chown root ${printable(path)} if it is right`,
  });
}

/**
 * Stores the host's token; it is on the disk, whole, when this returns. The file is replaced at one moment. Where only
 * the file itself can be written, that is done in place: a power cut may leave a part of the token there, which the
 * server does not know, and the next run trades the init token again.
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
      // Over all that is there: a reader meets no token with the end of a longer one behind it.
      writeAll(fd, Buffer.from(content.padEnd(sizeBytes, "\n")));
      ftruncateSync(fd, content.length);
    });
  }
}

/** A unit's sandbox has its folder read-only, and the file as a mount: it can be written, and not be replaced. */
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

/** Removes what a killed run left of a token file, where that can be. */
export function removeTokenTemporaries(path: string): void {
  try {
    removeTemporaries(path);
  } catch (error) {
    if (!isFileAlone(error)) throw fileError("file", "clean up beside", path, error);
  }
}

/**
 * Removes the init token, for good; where only the file itself can be written, empties it.
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

/** A shell makes a file before the command that fills it. */
const beingFilledMs = 60_000;

/**
 * Whether an init token is left over from the trade that gave the host its token: it was there first, or was emptied.
 * One that was put there later is an admin's, for the day when the token is gone.
 *
 * @throws Failure (file) where the disk or the system fails
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
