import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  type Stats,
} from "node:fs";
import { basename } from "node:path";
import { Failure } from "../failure.ts";
import { isClosed, isLasting, isOurs, isTrusted } from "./access.ts";
import { type FileAttributes, namesIn, type Ownership } from "./durable.ts";
import { errorCode, printable } from "./file-error.ts";
import { fullPath, refuseSetFolders } from "./path.ts";

/**
 * An open folder. Its files are reached through the descriptor, so it stays the same folder even when somebody moves it
 * or puts a link in its place. This is what openat(2) is for; the runtime doesn't offer that call.
 */
export interface Folder extends Disposable {
  /** For system calls: `/proc/self/fd/7`, or for a lasting folder its own path without links. */
  readonly path: string;
  /** For messages. */
  readonly name: string;
  /** As it was when the folder was opened. */
  readonly stats: Stats;
  /** Only trusted users can put another folder on its path. `stats` says who can write in it. */
  readonly isSteady: boolean;
  /** Not held open: only trusted users can replace it, or anything in it. */
  readonly isLasting?: true;
}

/** The kernel's own limit on the links in one path. */
export const maxLinks = 40;

/**
 * Opens a folder, one part of its path after the other. A symbolic link on the way is followed only when it belongs to
 * a trusted user and is in a folder where nobody else can replace it. With root's rights, another user's link could
 * lead to any file.
 *
 * @param make attributes for missing folders, which are then made; without it a missing folder is an error
 * @throws the system's error; Failure (file) for another user's link, (usage) for a folder of certificate sets
 */
export function openFolder(path: string, make?: FileAttributes): Folder {
  return heldOpen(walk(path, make));
}

/** The folder at the end of a path. */
interface Reached extends Pick<Folder, "name" | "stats" | "isSteady"> {
  readonly fd: number;
  /** Its path without links. */
  readonly path: string;
}

function walk(path: string, make?: FileAttributes): Reached {
  const name = fullPath(path);
  const rest = name.split("/").filter(Boolean);
  refuseSetFolders(rest, name);
  let fd = openNoFollow("/");
  let [realPath, isSteady, links] = ["", true, 0];
  try {
    for (let part = rest.shift(); part !== undefined; part = rest.shift()) {
      const target = ownLinkTarget(fd, name, part);
      if (target === undefined) {
        isSteady &&= isLasting(fstatSync(fd));
        const next = openPart(fd, part, make);
        closeSync(fd);
        fd = next;
        realPath += `/${part}`;
        continue;
      }
      if (++links > maxLinks) throw new Failure("file", `${printable(name)} has too many links in it`);
      const parts = target.split("/").filter((it) => it !== "" && it !== ".");
      refuseSetFolders(parts, name);
      rest.unshift(...parts);
      if (target.startsWith("/")) {
        closeSync(fd);
        fd = openNoFollow("/");
        realPath = "";
      }
    }
    return { fd, name, path: realPath, stats: fstatSync(fd), isSteady };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Enough for most hosts, and far below the number of files that a program may have open anywhere. */
const maxHeld = 64;

/** Opens each folder once, however many readers ask for it. */
export interface Folders extends Disposable {
  /** Like `openFolder`. The first 64 stay open until this is disposed of. */
  open(path: string): Folder;
}

/**
 * For reading many files in a few folders. Files in a lasting folder are reached by its path, which takes half the time
 * of the way through a descriptor.
 */
export function keepFoldersOpen(): Folders {
  const held = new Map<string, Folder>();
  return {
    open(path) {
      const folder = held.get(path) ?? openForReading(path);
      if (!held.has(path) && held.size >= maxHeld) return folder;
      held.set(path, folder);
      return { ...folder, [Symbol.dispose]() {} };
    },
    [Symbol.dispose]() {
      for (const folder of held.values()) folder[Symbol.dispose]();
    },
  };
}

function openForReading(path: string): Folder {
  const reached = walk(path);
  if (!reached.isSteady || !isLasting(reached.stats)) return heldOpen(reached);
  closeSync(reached.fd);
  return lasting(reached.path, reached.name, reached.stats);
}

/**
 * Refuses a path that leads through another user's link. Any other fault is reported later, by the call that uses the
 * folder.
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
 * Opens our own folder inside another one. Users of the outer folder could have replaced it, so it is opened only when
 * it is no link and still ours.
 *
 * @param outer has to be held open if `make` is given
 * @throws the system's error; Failure (file) when others can write in the folder
 */
export function openInside(outer: Folder, part: string, make?: FileAttributes): Folder {
  const [path, name] = [`${outer.path}/${part}`, `${outer.name}/${part}`];
  if (outer.isLasting === true) {
    const stats = lstatSync(path);
    if (stats.isDirectory() && isOurs(stats)) return lasting(path, name, stats);
  }
  const fd = make === undefined ? openNoFollow(path) : openPart(Number(basename(outer.path)), part, make);
  const stats = fstatSync(fd);
  if (isOurs(stats)) {
    // A run was stopped after it had made the folder and before it opened it to readers.
    if (make !== undefined && isClosed(stats)) fchmodSync(fd, make.mode);
    return heldOpen({ fd, name, stats, isSteady: outer.isSteady && isLasting(outer.stats) });
  }
  closeSync(fd);
  throw new Failure(
    "file",
    `the folder ${printable(name)} can be changed by other users (its owner is ${stats.uid}, its mode ${(stats.mode & 0o777).toString(8)})`,
    {
      hint: "nothing was changed; look at its content, then run chown root:root and chmod 0755 on it, or remove it",
    },
  );
}

function lasting(path: string, name: string, stats: Stats): Folder {
  return { path, name, stats, isSteady: true, isLasting: true, [Symbol.dispose]() {} };
}

function heldOpen({ fd, name, stats, isSteady }: Omit<Reached, "path">): Folder {
  return { path: `/proc/self/fd/${fd}`, name, stats, isSteady, [Symbol.dispose]: () => closeSync(fd) };
}

/** The target of a link that may be followed; undefined when the part is no link. */
function ownLinkTarget(parent: number, name: string, part: string): string | undefined {
  const path = `/proc/self/fd/${parent}/${part}`;
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined || !stats.isSymbolicLink()) return undefined;
  // Otherwise the link could be replaced between the lstat above and reading it here.
  if (isTrusted(stats.uid) && isLasting(fstatSync(parent))) return readlinkSync(path);
  const whose = isTrusted(stats.uid) ? "in a folder that others can write" : `of another user (${stats.uid})`;
  throw new Failure(
    "file",
    `${printable(part)} in the path ${printable(name)} is a symbolic link ${whose}, and is not followed`,
    { hint: "nothing was changed; if the link is right, give the path that it leads to" },
  );
}

/**
 * Opens one part of a path inside a folder that is held open. Follows no link.
 *
 * @param make attributes for the folder if it is missing, or if a run was stopped before it had finished making it
 * @throws the system's error
 */
function openPart(parent: number, part: string, make: FileAttributes | undefined): number {
  const path = `/proc/self/fd/${parent}/${part}`;
  if (make !== undefined && makeFolder(path)) fsyncSync(parent);
  const fd = openNoFollow(path);
  try {
    if (make !== undefined && isUnfinished(fd, make.owner)) {
      // The mode comes last: it marks the folder as unfinished until then.
      if (make.owner !== undefined) fchownSync(fd, make.owner.uid, make.owner.gid);
      fchmodSync(fd, make.mode);
    }
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function openNoFollow(path: string): number {
  const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants;
  return openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

/**
 * The mode of a folder that doesn't have its owner yet. It is closed to all others and sticky, a combination that has no
 * use and that nobody else sets. So the next run can tell a folder left by a stopped run from an admin's own.
 */
const unfinishedMode = 0o1700;

/** Returns false when something exists there already. */
function makeFolder(path: string): boolean {
  try {
    mkdirSync(path, { mode: unfinishedMode });
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
}

/** Whether this run or a stopped one has made the folder and not set its mode yet. Such a folder is empty. */
function isUnfinished(fd: number, owner: Ownership | undefined): boolean {
  const { mode, uid } = fstatSync(fd);
  // Inside a folder with the setgid bit, a new folder has that bit as well.
  if ((mode & 0o5777) !== unfinishedMode) return false;
  const isOwn = uid === process.geteuid?.() || uid === owner?.uid;
  return isOwn && namesIn(`/proc/self/fd/${fd}`)?.length === 0;
}
