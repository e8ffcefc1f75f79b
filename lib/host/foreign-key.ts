import type { Stats } from "node:fs";
import { basename } from "node:path";
import { isOurs, isTrusted } from "./access.ts";
import type { Place } from "./certificate-place.ts";
import type { Ownership } from "./durable.ts";
import { fullPath, setFolderName } from "./path.ts";

/** Who could have put a key in its place. */
export interface KeyOrigin {
  readonly uid: number;
  /** Users other than its owner can write it. */
  readonly isWide: boolean;
  /** Users other than its owner can read it, by its mode. */
  readonly isShared: boolean;
  /** It is in a set, not a plain file. */
  readonly isInSet: boolean;
  /** It has a second name (a hard link). */
  readonly isLinked: boolean;
  /** The owner of the folder that services read; undefined when others can also write in it. */
  readonly folderUid: number | undefined;
  /** Only trusted users can put files into that folder. */
  readonly isOurFolder: boolean;
  /** Only trusted users can put another folder in its place. */
  readonly isSteadyFolder: boolean;
  /** The destination, to compare with the one that the set was made for. */
  readonly home: SetHome;
}

/** The destination that a set was made for. It is recorded beside the set, to notice when the set is moved. */
export interface SetHome {
  /** The absolute path, as it was asked for. */
  readonly path: string;
  /** The device and inode numbers of its folder, which are the same for every path. */
  readonly folder: string;
}

export function keyOrigin(place: Place, stats: Stats, isInSet: boolean): KeyOrigin {
  const { folder } = place;
  return {
    uid: stats.uid,
    isWide: (stats.mode & 0o022) !== 0,
    isShared: (stats.mode & 0o044) !== 0,
    isInSet,
    isLinked: stats.nlink > 1,
    folderUid: (folder.stats.mode & 0o022) === 0 ? folder.stats.uid : undefined,
    isOurFolder: folder.isSteady && isOurs(folder.stats),
    isSteadyFolder: folder.isSteady,
    home: setHome(place),
  };
}

export function setHome({ folder, base }: Place): SetHome {
  return { path: fullPath(`${folder.name}/${base}`), folder: `${folder.stats.dev}:${folder.stats.ino}` };
}

/**
 * Whether a set is still at the destination that it was made for. The folder may be a different one at the same path, for
 * example after a backup was restored. It may also have a new name if only an admin can have renamed it.
 */
function isAtHome(made: SetHome, { home, isSteadyFolder }: KeyOrigin): boolean {
  if (made.path === home.path) return true;
  return isSteadyFolder && basename(made.path) === basename(home.path) && made.folder === home.folder;
}

/** A key that must not be used, because another user may know it. */
export interface ForeignKey {
  /** In a few words. */
  readonly why: string;
  /** What a person can do to have it used after all. */
  readonly remedy: string;
}

const narrow = "chmod 0600 it";
const ownIt = "give its user as the owner";

/**
 * Whether an existing key must not be used. This depends on its owner, and on who could have put it there.
 *
 * @param owner the owner that the files should have, if one is asked for
 * @param made the destination that the set was made for; undefined without a record of it
 * @returns undefined for a key that may be used
 */
export function findForeignKey(
  origin: KeyOrigin,
  owner: Ownership | undefined,
  made: SetHome | undefined,
): ForeignKey | undefined {
  const { uid, isInSet, isOurFolder, folderUid, home } = origin;
  if (origin.isWide) return { why: "others can write it", remedy: narrow };
  // Only root can have put it there.
  if (isOurFolder) return undefined;
  if (!isInSet && origin.isLinked)
    return { why: "it has another name (a hard link)", remedy: "put a copy in its place" };
  if (isInSet && made !== undefined && !isAtHome(made, origin)) {
    const why = `${setFolderName(basename(home.path))} is the set of ${made.path}`;
    return { why, remedy: "move the set back" };
  }
  if (uid === owner?.uid && !isTrusted(uid)) return undefined;
  if (isTrusted(uid)) {
    // Otherwise it may be the key of another certificate, which that certificate's readers know.
    const isTied = isInSet && made !== undefined;
    const why = "others can read it, and could have put it there";
    return origin.isShared && !isTied ? { why, remedy: narrow } : undefined;
  }
  if (owner === undefined && uid === folderUid) return undefined;
  const isOpen = owner === undefined && folderUid === undefined;
  const why = `it belongs to user ${uid}${isOpen ? ", and its folder can be written by others" : ""}`;
  return { why, remedy: ownIt };
}
