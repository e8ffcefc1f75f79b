import { lstatSync, realpathSync, type Stats } from "node:fs";
import { dirname } from "node:path";
import type { Ownership } from "./durable.ts";
import { fullPath } from "./full-path.ts";
import { isClosed } from "./trust.ts";

/**
 * The folder that keeps the owner of a destination's files from them, where there is one: that of the files, if it is
 * closed to all but another user, or one above it that release 1.0.0 made in a folder with the setgid bit, and left
 * closed. Other folders above may be closed on purpose: a container gets to the files without them.
 *
 * @returns its path and mode; undefined where there is none, or that can't be told
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
    // Whoever reads the files tells what is wrong.
  }
  return undefined;
}

function isLeftClosed({ mode }: Stats): boolean {
  return (mode & 0o7777) === 0o2700;
}
