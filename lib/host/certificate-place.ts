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
 * A key, its certificate and the CA, kept so that all three change at one moment:
 *
 *     kubelet-key.pem -> .kubelet.set/current/key.pem
 *     kubelet.pem     -> .kubelet.set/current/cert.pem
 *     kubelet-ca.pem  -> .kubelet.set/current/ca.pem
 *     .kubelet.set/current -> 20261124T101500Z-6f1c2a
 *
 * The names that services read are links through `current`, and replacing that one link, which rename(2) does at
 * one moment, replaces the set. Links are relative, so a container that mounts the folder follows them, too.
 */
export const members = {
  key: { suffix: "-key.pem", name: "key.pem", mode: defaultKeyMode },
  certificate: { suffix: ".pem", name: "cert.pem", mode: 0o644 },
  ca: { suffix: "-ca.pem", name: "ca.pem", mode: 0o644 },
} as const;

export type Member = keyof typeof members;
export const memberNames: readonly Member[] = ["key", "certificate", "ca"];

/** The link that is switched. */
export const currentName = "current";
/** Beside the three: what was asked for when they were issued. */
export const requestName = "request.json";
/** Beside the link: its time is that of the last look at the server's CA. */
export const checkedName = "ca-checked";

/** A destination whose folders are held open. */
export interface Place extends Disposable {
  /** The folder that services read in. */
  readonly folder: Folder;
  /** The folder of the sets, ours alone; undefined where there is none yet. */
  readonly set: Folder | undefined;
  readonly base: string;
}

/** What is locked by whoever changes the certificate, or acts on a change. */
export function lockedThing({ folder, base }: Place, kind: "set" | "hooks"): LockedThing {
  return { kind, folder: folder.path, base, name: `${folder.name}/${base}` };
}

/** What release 1.0.0 can lock, should a host go back to it: its lock was in the folder of the sets. */
const longestPath = 511 - "/..set/lock-journal".length;

/** NAME_MAX, less what the longest name adds: `.` and `-key.pem.tmp-0123456789ab`. */
const longestName = 255 - 1 - "-key.pem".length - ".tmp-0123456789ab".length;

interface Destination {
  readonly folder: string;
  readonly base: string;
}

/** @throws Failure (usage) for a path that no three files can stand at */
function parseDestination(destination: string): Destination {
  const path = fullPath(destination);
  const [folder, base] = [dirname(path), basename(path)];
  // Without a name of its own at its end, `.` say, it would be the working folder's, one folder above.
  if (!isFilePath(destination) || base.startsWith("-")) {
    throw new Failure("usage", `${JSON.stringify(destination)} can't be a certificate's destination`, {
      hint: "give the path without its ending: /etc/kubernetes/ssl/kubelet for kubelet.pem and its two beside it",
    });
  }
  if (Buffer.byteLength(base) > longestName || Buffer.byteLength(path) > longestPath) {
    throw new Failure("usage", `${printable(destination)} is too long for a certificate's destination`, {
      hint: `its last part may have ${longestName} bytes, and all of it ${longestPath}`,
    });
  }
  refuseSetFolders(folder.split("/"), folder);
  return { folder, base };
}

/**
 * The paths of the three files that services read.
 *
 * @throws Failure (usage) for a path that no three files can stand at
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
 * Opens a destination as it stands; undefined where its folder is missing.
 *
 * @param folders that others look into, too
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

/** Opens a destination, and makes the folders that are missing: 0750, the owner's; the sets' folder is root's. */
export function makePlace(
  destination: string,
  owner: Ownership | undefined,
): Place & { readonly set: Folder } {
  const { folder: path, base } = parseDestination(destination);
  let folder: Folder | undefined;
  try {
    folder = openFolder(path, { mode: 0o750, owner });
    const set = openInside(folder, setFolderName(base), { mode: 0o755 });
    return { ...place(folder, set, base), set };
  } catch (error) {
    folder?.[Symbol.dispose]();
    throw fileError("file", "make the folder", path, error);
  }
}

function place(folder: Folder, set: Folder | undefined, base: string): Place {
  return {
    folder,
    set,
    base,
    [Symbol.dispose]() {
      set?.[Symbol.dispose]();
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

/** The path of a file that services read, for calls. */
export function outerPath({ folder, base }: Place, member: Member): string {
  return `${folder.path}/${base}${members[member].suffix}`;
}

/** The same, for people. */
export function outerName({ folder, base }: Place, member: Member): string {
  return `${folder.name}/${base}${members[member].suffix}`;
}

/** What the link of a file that services read holds. */
export function linkTarget({ base }: Place, member: Member): string {
  return `${setFolderName(base)}/${currentName}/${members[member].name}`;
}

/**
 * Whether a name that services read is our link; a plain file, or nothing, is not.
 *
 * @throws Failure (file) for a link that this tool did not make
 */
export function isOurLink(place: Place, member: Member): boolean {
  let target: string;
  try {
    target = readlinkSync(outerPath(place, member));
  } catch (error) {
    if (["ENOENT", "EINVAL"].includes(errorCode(error))) return false; // nothing there, or no link
    throw fileError("file", "look at", outerName(place, member), error);
  }
  if (target === linkTarget(place, member)) return true;
  throw new Failure(
    "file",
    `${printable(outerName(place, member))} is a symbolic link to ${printable(target)}, which this tool did not make`,
    { hint: "nothing was changed; remove it, or choose another destination" },
  );
}

const versionName = /^\d{8}T\d{6}Z-[0-9a-f]{6}$/;

/** Whether a name in the folder of the sets is that of one of them. */
export function isVersionName(name: string): boolean {
  return versionName.test(name);
}

/**
 * Opens the set that stands: the one that the link names, or a folder in the link's place, which a copy that follows
 * links makes of it. Code in a unit that issues may write there, and could lead others out of it.
 *
 * @returns undefined where there is none
 * @throws Failure (file) where the link leads anywhere else
 */
export function openCurrent({ set }: Place): Folder | undefined {
  if (set === undefined) return undefined;
  const version = currentVersion(set) ?? currentName;
  if (version === currentName || isVersionName(version))
    return orMissing(() => openInside(set, version), `${set.name}/${version}`);
  throw new Failure(
    "file",
    `${printable(`${set.name}/${currentName}`)} leads to ${printable(version)}, which is no set of this tool's`,
    { hint: "nothing was changed; look at how it came there, and remove it" },
  );
}

/**
 * What the link in the folder of the sets holds; undefined where there is none, or a folder.
 *
 * @throws Failure (file) where the disk or the system fails
 */
export function currentVersion(set: Folder): string | undefined {
  try {
    return readlinkSync(`${set.path}/${currentName}`);
  } catch (error) {
    if (["ENOENT", "EINVAL"].includes(errorCode(error))) return undefined;
    throw fileError("file", "look at", `${set.name}/${currentName}`, error);
  }
}

/**
 * The path of a file itself, for calls: in our own folder where a link of ours leads there, so that nobody can lead
 * them elsewhere. Undefined where that folder is missing.
 *
 * @param current see `openCurrent`
 */
export function memberPath(
  place: Place,
  current: Folder | undefined,
  member: Member,
  isLinked = isOurLink(place, member),
): string | undefined {
  if (!isLinked) return outerPath(place, member);
  return current && `${current.path}/${members[member].name}`;
}
