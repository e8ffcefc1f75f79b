import { lstatSync, realpathSync, type Stats } from "node:fs";
import { dirname } from "node:path";
import type { Ownership } from "./durable.ts";
import { fullPath } from "./path.ts";

/** Whether a user is root or the one that this process runs as. */
export function isTrusted(uid: number): boolean {
  return uid === 0 || uid === process.geteuid?.();
}

/** Whether only trusted users can change a file, or the names in a folder. */
export function isOurs({ uid, mode }: Stats): boolean {
  return isTrusted(uid) && (mode & 0o022) === 0;
}

/** Whether nobody else can replace our files in a folder: it is ours, or it is a trusted user's with the sticky bit. */
export function isLasting(stats: Stats): boolean {
  return isOurs(stats) || (isTrusted(stats.uid) && (stats.mode & 0o1000) !== 0);
}

/** Whether only a folder's owner can get into it. */
export function isClosed({ mode }: Stats): boolean {
  return (mode & 0o077) === 0;
}

/**
 * A folder that keeps the files of a destination from their owner, because it belongs to another user and is closed. Two
 * kinds are found: the files' own folder, and any folder above that release 1.0.0 left closed by mistake (it did so when
 * it made one inside a folder with the setgid bit). Other closed folders above may be intended: a container can mount
 * the files' own folder and doesn't need them.
 *
 * @returns its path and mode; undefined when there is none, or when a folder can't be examined
 */
export function closedFolder(
  destination: string,
  owner: Ownership,
): { readonly path: string; readonly mode: string } | undefined {
  if (owner.uid === 0) return undefined;
  try {
    const folder = realpathSync(dirname(fullPath(destination)));
    for (let path = folder; path !== "/"; path = dirname(path)) {
      const stats = lstatSync(path);
      const isOthers = isClosed(stats) && stats.uid !== owner.uid;
      if (isOthers && (path === folder || isLeftClosed(stats))) {
        return { path, mode: (stats.mode & 0o7777).toString(8) };
      }
    }
  } catch {
    // Reading the files fails for the same reason, and reports it.
  }
  return undefined;
}

function isLeftClosed({ mode }: Stats): boolean {
  return (mode & 0o7777) === 0o2700;
}
