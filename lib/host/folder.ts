import { closeSync, fchmodSync, fstatSync, lstatSync, readlinkSync, type Stats } from "node:fs";
import { basename } from "node:path";
import { Failure } from "../failure.ts";
import type { FileAttributes } from "./durable.ts";
import { printable } from "./file-error.ts";
import { openDirectly, openPart } from "./folder-part.ts";
import { fullPath } from "./full-path.ts";
import { refuseSets } from "./set-folder.ts";
import { isClosed, isLasting, isOurs, isTrusted } from "./trust.ts";

/**
 * A folder held open. What is in it is reached through the descriptor, so it stays the same folder when somebody
 * moves it, or puts a link in its place, meanwhile: what openat(2) is for, which the runtime does not have.
 */
export interface Folder extends Disposable {
  /** For calls: `/proc/self/fd/7`; of a lasting one its own, without links. */
  readonly path: string;
  /** For people. */
  readonly name: string;
  /** As it was when it was opened. */
  readonly stats: Stats;
  /** Nobody but root and ourselves can put another folder on its path. Who may write in it, `stats` tells. */
  readonly isSteady: boolean;
  /** Not held open: nobody but root and ourselves can put another in its place, or in that of what is in it. */
  readonly isLasting?: true;
}

/** As many links as the kernel follows on the way to one file. */
export const maxLinks = 40;

/**
 * Opens a folder, one part of its path after the other. A symbolic link on the way is followed only when it is
 * root's or our own, and in a folder where nobody else can put another in its place: with root's power, another
 * user's link could lead to any file.
 *
 * @param make makes each missing folder so; without it a missing one is an error
 * @throws the system's error, or a Failure: (file) for another user's link, (usage) for the sets of a certificate
 */
export function openFolder(path: string, make?: FileAttributes): Folder {
  return heldOpen(walk(path, make));
}

/** A folder that was walked to. */
interface Found extends Pick<Folder, "name" | "stats" | "isSteady"> {
  readonly fd: number;
  /** Its path without links. */
  readonly path: string;
}

function walk(path: string, make?: FileAttributes): Found {
  const name = fullPath(path);
  const rest = name.split("/").filter(Boolean);
  refuseSets(rest, name);
  let fd = openDirectly("/");
  let [way, isSteady, links] = ["", true, 0];
  try {
    for (let part = rest.shift(); part !== undefined; part = rest.shift()) {
      const target = ownLinkTarget(fd, name, part);
      if (target === undefined) {
        isSteady &&= isLasting(fstatSync(fd));
        const next = openPart(fd, part, make);
        closeSync(fd);
        fd = next;
        way += `/${part}`;
        continue;
      }
      if (++links > maxLinks) throw new Failure("file", `${printable(name)} has too many links in it`);
      const parts = target.split("/").filter((it) => it !== "" && it !== ".");
      refuseSets(parts, name);
      rest.unshift(...parts);
      if (target.startsWith("/")) {
        closeSync(fd);
        fd = openDirectly("/");
        way = "";
      }
    }
    return { fd, name, path: way, stats: fstatSync(fd), isSteady };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Enough for most hosts, and far below what every system lets a program have open. */
const mostHeld = 64;

/** Folders that are opened once for all who look into them. */
export interface Folders extends Disposable {
  /** As `openFolder`; one of the first stays open until all are closed. */
  open(path: string): Folder;
}

/**
 * For a look at many files in few folders. What is in a lasting one is looked at by its path, which takes half the time
 * that it takes by a descriptor.
 */
export function keepFoldersOpen(): Folders {
  const held = new Map<string, Folder>();
  return {
    open(path) {
      const folder = held.get(path) ?? openToLook(path);
      if (!held.has(path) && held.size >= mostHeld) return folder;
      held.set(path, folder);
      return { ...folder, [Symbol.dispose]() {} };
    },
    [Symbol.dispose]() {
      for (const folder of held.values()) folder[Symbol.dispose]();
    },
  };
}

function openToLook(path: string): Folder {
  const found = walk(path);
  if (!found.isSteady || !isLasting(found.stats)) return heldOpen(found);
  closeSync(found.fd);
  return lasting(found.path, found.name, found.stats);
}

/**
 * Refuses a path that leads through another user's link. Any other fault of the folder is told by the call that uses it.
 *
 * @throws Failure (file)
 */
export function refuseForeignLinks(path: string): void {
  try {
    using _ = openFolder(path);
  } catch (error) {
    if (error instanceof Failure) throw error;
  }
}

/**
 * Opens a folder in another, and no link: a folder of ours that a user of the outer one could have replaced.
 *
 * @param outer held open, where the folder may have to be made
 */
export function openInside(outer: Folder, part: string, make?: FileAttributes): Folder {
  const [path, name] = [`${outer.path}/${part}`, `${outer.name}/${part}`];
  if (outer.isLasting === true) {
    const stats = lstatSync(path);
    if (stats.isDirectory() && isOurs(stats)) return lasting(path, name, stats);
  }
  const fd = make === undefined ? openDirectly(path) : openPart(Number(basename(outer.path)), part, make);
  const stats = fstatSync(fd);
  if (isOurs(stats)) {
    // Made by a run that was stopped before it had opened it to readers.
    if (make !== undefined && isClosed(stats)) fchmodSync(fd, make.mode);
    return heldOpen({ fd, name, stats, isSteady: outer.isSteady && isLasting(outer.stats) });
  }
  closeSync(fd);
  throw new Failure(
    "file",
    `the folder ${printable(name)} is not this tool's alone (its owner is ${stats.uid}, its mode ${(stats.mode & 0o777).toString(8)})`,
    {
      hint: "nothing was changed; once you know what is in it give it back with chown root:root and chmod 0755, or remove it",
    },
  );
}

function lasting(path: string, name: string, stats: Stats): Folder {
  return { path, name, stats, isSteady: true, isLasting: true, [Symbol.dispose]() {} };
}

function heldOpen({ fd, name, stats, isSteady }: Omit<Found, "path">): Folder {
  return { path: `/proc/self/fd/${fd}`, name, stats, isSteady, [Symbol.dispose]: () => closeSync(fd) };
}

/** Undefined where the part is no link. */
function ownLinkTarget(parent: number, name: string, part: string): string | undefined {
  const path = `/proc/self/fd/${parent}/${part}`;
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined || !stats.isSymbolicLink()) return undefined;
  // Who can replace a link can do so between our look at it and our reading of it.
  if (isTrusted(stats.uid) && isLasting(fstatSync(parent))) return readlinkSync(path);
  const whose = isTrusted(stats.uid) ? "in a folder that others can write" : `of another user (${stats.uid})`;
  throw new Failure(
    "file",
    `${printable(part)} in the path ${printable(name)} is a symbolic link ${whose}, and is not followed`,
    { hint: "nothing was changed; give the path that it leads to, if that is meant" },
  );
}
