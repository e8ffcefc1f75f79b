import { lstatSync, type Stats } from "node:fs";
import { basename, dirname } from "node:path";
import { Failure } from "../failure.ts";
import { compareAttributes, type Ownership, removeTemporaries, replaceFile } from "./durable.ts";
import { errorCode, fileError, printable } from "./file-error.ts";
import { type Folder, openFolder } from "./folder.ts";
import { fullPath, isFilePath, isSameFilePath } from "./path.ts";
import { readSmallFile } from "./read-file.ts";
import { tokenPaths } from "./token-files.ts";

/** The path to write a secret to, with its folder held open. */
export interface SecretTarget extends Disposable {
  /** For system calls. */
  readonly path: string;
  /** For messages. */
  readonly name: string;
}

/** Longer than any write takes. Older temporary files were left by runs that were killed. */
const staleSeconds = 3600;

/**
 * Checks the path for a secret and opens its folder. To be called before the server is asked.
 *
 * @param configPath the folder with the host's tokens, which a secret must not overwrite
 * @throws Failure (usage) for a path that can't be a file's or is a token file's; (file) when the folder is missing or
 *   behind another user's link, or when something other than a plain file is at the path
 */
export function openSecretTarget(destination: string, configPath: string): SecretTarget {
  if (!isFilePath(destination)) {
    throw new Failure("usage", `${JSON.stringify(destination)} can't be a secret's file`, {
      hint: "the path has to end with a file name",
    });
  }
  const name = fullPath(destination);
  const folder = openExisting(dirname(name));
  try {
    const path = `${folder.path}/${basename(name)}`;
    refuseTokenFile(path, name, configPath);
    refuseOddFile(path, name);
    return { path, name, [Symbol.dispose]: () => folder[Symbol.dispose]() };
  } catch (error) {
    folder[Symbol.dispose]();
    throw fileError("file", "write", name, error);
  }
}

function openExisting(path: string): Folder {
  try {
    return openFolder(path);
  } catch (error) {
    const hint =
      errorCode(error) === "ENOENT" ? "make the folder first, with the owner that it should have" : undefined;
    throw fileError("file", "open the folder", path, error, hint);
  }
}

function refuseTokenFile(path: string, name: string, configPath: string): void {
  if (!Object.values(tokenPaths(configPath)).some((token) => isSameFilePath(path, token))) return;
  throw new Failure("usage", `${printable(name)} is one of this host's token files`, {
    hint: "nothing was changed; choose another file, or another --config-path",
  });
}

function refuseOddFile(path: string, name: string): void {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined || stats.isFile()) return;
  throw new Failure("file", `${printable(name)} is ${kindOf(stats)}, and is not written to`, {
    hint: "nothing was changed; give a plain file's path, or leave it out for standard output",
  });
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return "a folder";
  if (stats.isSymbolicLink()) return "a symbolic link";
  return stats.isFIFO() ? "a FIFO" : "a device or a socket";
}

export interface SecretFileOptions {
  /** @default the running user's */
  readonly owner?: Ownership | undefined;
  /** Whether two contents mean the same. @default exact comparison */
  readonly isSame?: (before: string, after: string) => boolean;
}

/**
 * Stores a secret with mode 0600, durably. Nothing is written if the file has the same content, the right owner and no
 * wider mode. A wrong owner or mode is not changed in place, because the path could be another file by then: the file is
 * replaced.
 *
 * @returns whether the file was written
 * @throws Failure (file); then the old content is still there
 */
export function storeSecret({ path, name }: SecretTarget, text: string, options: SecretFileOptions): boolean {
  const owner = options.owner ?? { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  if (isStored(path, name, text, { ...options, owner })) return false;
  try {
    removeTemporaries(path, { olderThanSeconds: staleSeconds, owner });
    replaceFile(path, text, { mode: 0o600, owner });
    return true;
  } catch (error) {
    throw fileError("file", "write", name, error);
  }
}

function isStored(
  path: string,
  name: string,
  text: string,
  { owner, isSame }: SecretFileOptions & { readonly owner: Ownership },
): boolean {
  refuseOddFile(path, name);
  const length = Buffer.byteLength(text);
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats?.size !== length) return false;
  const { isWide, isForeign } = compareAttributes(stats, { mode: 0o600, owner });
  if (isWide || isForeign) return false;
  const before = readSmallFile(path, length, name)?.text;
  return before !== undefined && (isSame?.(before, text) ?? before === text);
}
