import { readlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { Failure } from "../failure.ts";
import type { Ownership } from "./durable.ts";
import { errorCode, fileError, printable } from "./file-error.ts";
import { type Folder, type Folders, openFolder, openInside } from "./folder.ts";
import type { LockedThing } from "./host-lock.ts";
import { defaultKeyMode } from "./key-mode.ts";
import { fullPath, isFilePath, refuseSetFolders, setFolderName } from "./path.ts";

/**
 * The three files of a certificate set, stored so that all of them change at the same moment:
 *
 *     kubelet-key.pem -> .kubelet.set/current/key.pem
 *     kubelet.pem     -> .kubelet.set/current/cert.pem
 *     kubelet-ca.pem  -> .kubelet.set/current/ca.pem
 *     .kubelet.set/current -> 20261124T101500Z-6f1c2a
 *
 * Services read links that lead through `current`. Replacing that one link with rename(2) replaces the whole set. The
 * links are relative, so they also work in a container that mounts the folder elsewhere.
 */
export const members = {
  key: { suffix: "-key.pem", name: "key.pem", mode: defaultKeyMode },
  certificate: { suffix: ".pem", name: "cert.pem", mode: 0o644 },
  ca: { suffix: "-ca.pem", name: "ca.pem", mode: 0o644 },
} as const;

export type Member = keyof typeof members;
export const memberNames: readonly Member[] = ["key", "certificate", "ca"];

/** The link to the set in use. */
export const currentName = "current";
/** The record beside the three files: the request that they were issued for. */
export const requestName = "request.json";
/** A file beside the link. Its time is that of the last CA check. */
export const checkedName = "ca-checked";

/** A destination with its folders held open. */
export interface Place extends Disposable {
  /** The folder with the files that services read. */
  readonly folder: Folder;
  /** The folder that holds the sets, which only root can change; undefined while there is none. */
  readonly sets: Folder | undefined;
  readonly base: string;
}

/** The lock for changing the certificate (`set`), or for acting on a change (`hooks`). */
export function lockedThing({ folder, base }: Place, kind: "set" | "hooks"): LockedThing {
  return { kind, folder: folder.path, base, name: `${folder.name}/${base}` };
}

/** The longest path that release 1.0.0 could lock, in case a host goes back to it. Its lock was in the sets' folder. */
const longestPath = 511 - "/..set/lock-journal".length;

/** NAME_MAX minus the longest additions: `.` before the name and `-key.pem.tmp-0123456789ab` after it. */
const longestName = 255 - 1 - "-key.pem".length - ".tmp-0123456789ab".length;

interface Destination {
  readonly folder: string;
  readonly base: string;
}

/** @throws Failure (usage) for a path that can't be a destination */
function parseDestination(destination: string): Destination {
  const path = fullPath(destination);
  const [folder, base] = [dirname(path), basename(path)];
  // A destination such as `.` would put the files beside the working folder.
  if (!isFilePath(destination) || base.startsWith("-")) {
    throw new Failure("usage", `${JSON.stringify(destination)} can't be a certificate's destination`, {
      hint: "give the path without an ending, like /etc/kubernetes/ssl/kubelet for kubelet.pem and its key and CA",
    });
  }
  if (Buffer.byteLength(base) > longestName || Buffer.byteLength(path) > longestPath) {
    throw new Failure("usage", `${printable(destination)} is too long for a certificate's destination`, {
      hint: `at most ${longestName} bytes in its last part, and ${longestPath} in all`,
    });
  }
  refuseSetFolders(folder.split("/"), folder);
  return { folder, base };
}

/**
 * The paths of the three files that services read.
 *
 * @throws Failure (usage) for a path that can't be a destination
 */
export function certificatePaths(destination: string): Readonly<Record<Member, string>> {
  const { folder, base } = parseDestination(destination);
  const path = join(folder, base);
  return {
    key: path + members.key.suffix,
    certificate: path + members.certificate.suffix,
    ca: path + members.ca.suffix,
  };
}

/**
 * Opens an existing destination; undefined when its folder is missing.
 *
 * @param folders to open the folder with, shared with other destinations
 */
export function findPlace(destination: string, folders?: Folders): Place | undefined {
  const { folder: path, base } = parseDestination(destination);
  const folder = orMissing(() => folders?.open(path) ?? openFolder(path), path);
  if (folder === undefined) return undefined;
  try {
    return place(
      folder,
      orMissing(() => openInside(folder, setFolderName(base)), path),
      base,
    );
  } catch (error) {
    folder[Symbol.dispose]();
    throw error;
  }
}

/** Opens a destination and makes missing folders: 0750 and the owner's, except for the sets' folder, which is root's. */
export function makePlace(
  destination: string,
  owner: Ownership | undefined,
): Place & { readonly sets: Folder } {
  const { folder: path, base } = parseDestination(destination);
  let folder: Folder | undefined;
  try {
    folder = openFolder(path, { mode: 0o750, owner });
    const sets = openInside(folder, setFolderName(base), { mode: 0o755 });
    return { ...place(folder, sets, base), sets };
  } catch (error) {
    folder?.[Symbol.dispose]();
    throw fileError("file", "make the folder", path, error);
  }
}

function place(folder: Folder, sets: Folder | undefined, base: string): Place {
  return {
    folder,
    sets,
    base,
    [Symbol.dispose]() {
      sets?.[Symbol.dispose]();
      folder[Symbol.dispose]();
    },
  };
}

function orMissing(open: () => Folder, path: string): Folder | undefined {
  try {
    return open();
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw fileError("file", "open the folder", path, error);
  }
}

/** The path of a file that services read, for system calls. */
export function publicPath({ folder, base }: Place, member: Member): string {
  return `${folder.path}/${base}${members[member].suffix}`;
}

/** The path of a file that services read, for messages. */
export function publicName({ folder, base }: Place, member: Member): string {
  return `${folder.name}/${base}${members[member].suffix}`;
}

/** The target of the link that services read. */
export function linkTarget({ base }: Place, member: Member): string {
  return `${setFolderName(base)}/${currentName}/${members[member].name}`;
}

/**
 * Whether the path that services read is our link. False if it is a plain file or missing.
 *
 * @throws Failure (file) for a link that this tool did not make
 */
export function isOurLink(place: Place, member: Member): boolean {
  let target: string;
  try {
    target = readlinkSync(publicPath(place, member));
  } catch (error) {
    if (["ENOENT", "EINVAL"].includes(errorCode(error))) return false; // missing, or not a link
    throw fileError("file", "look at", publicName(place, member), error);
  }
  if (target === linkTarget(place, member)) return true;
  throw new Failure(
    "file",
    `${printable(publicName(place, member))} is a symbolic link to ${printable(target)}, which this tool did not make`,
    { hint: "nothing was changed; remove it, or choose another destination" },
  );
}

const versionName = /^\d{8}T\d{6}Z-[0-9a-f]{6}$/;

/** Whether a name in the sets' folder is a set's. */
export function isVersionName(name: string): boolean {
  return versionName.test(name);
}

/**
 * Opens the set in use: the one that the link names, or a folder in place of the link, as a copy that follows links
 * leaves it. Units that issue can write here, so the link is checked before it is followed.
 *
 * @returns undefined when there is no set
 * @throws Failure (file) when the link leads anywhere else
 */
export function openCurrent({ sets }: Place): Folder | undefined {
  if (sets === undefined) return undefined;
  const version = currentVersion(sets) ?? currentName;
  if (version === currentName || isVersionName(version))
    return orMissing(() => openInside(sets, version), `${sets.name}/${version}`);
  throw new Failure(
    "file",
    `${printable(`${sets.name}/${currentName}`)} leads to ${printable(version)}, which is not one of this tool's sets`,
    { hint: "nothing was changed; find out how it got there, then remove it" },
  );
}

/**
 * The set that the link names; undefined when there is no link.
 *
 * @throws Failure (file) when the link can't be read
 */
export function currentVersion(sets: Folder): string | undefined {
  try {
    return readlinkSync(`${sets.path}/${currentName}`);
  } catch (error) {
    if (["ENOENT", "EINVAL"].includes(errorCode(error))) return undefined;
    throw fileError("file", "look at", `${sets.name}/${currentName}`, error);
  }
}

/**
 * The path of the file itself, for system calls. Goes to our own folder directly instead of through our link, so nobody
 * can redirect the call. Undefined when that folder is missing.
 *
 * @param current see `openCurrent`
 */
export function memberPath(
  place: Place,
  current: Folder | undefined,
  member: Member,
  isLinked = isOurLink(place, member),
): string | undefined {
  if (!isLinked) return publicPath(place, member);
  return current && `${current.path}/${members[member].name}`;
}
