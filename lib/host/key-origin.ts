import type { Stats } from "node:fs";
import { basename } from "node:path";
import { isOurs, isTrusted } from "./access.ts";
import type { Place } from "./certificate-place.ts";
import type { Ownership } from "./durable.ts";
import { fullPath, setFolderName } from "./path.ts";

/** Who could have put a key where it stands. */
export interface KeyOrigin {
  readonly uid: number;
  /** Somebody other than its owner can write it. */
  readonly isWide: boolean;
  /** Somebody other than its owner can read it, or so its mode says. */
  readonly isShared: boolean;
  /** It is in a set, and no plain file. */
  readonly isInSet: boolean;
  /** It has a second name (a hard link). */
  readonly isLinked: boolean;
  /** Owner of the folder that services read in; undefined where others than the owner can write there. */
  readonly folderUid: number | undefined;
  /** Nobody but root and ourselves can put anything there. */
  readonly isOurFolder: boolean;
  /** Nobody but root and ourselves can put another folder in its folder's place. */
  readonly isSteadyFolder: boolean;
  /** The destination, to be compared with the one that the set was made for. */
  readonly home: SetHome;
}

/** Which destination a set is made for: kept beside it, so that a set which was moved to another is noticed. */
export interface SetHome {
  /** From the root, as it was asked for. */
  readonly path: string;
  /** Its folder's numbers: the same by whatever path it is reached. */
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
 * Whether a set still is at the destination that it was made for. Its folder may be another one at the same path (a
 * backup that was restored, say), or have another name by now: by an admin's choice, where nobody else can rename it.
 */
function isAtHome(made: SetHome, { home, isSteadyFolder }: KeyOrigin): boolean {
  if (made.path === home.path) return true;
  return isSteadyFolder && basename(made.path) === basename(home.path) && made.folder === home.folder;
}

/**
 * Why a key that stands must not be signed: another user may know it. It is judged by its owner and by who could have
 * put it there, not by its name.
 *
 * @param owner of the files, where one is asked for
 * @param made the destination that the set was made for; undefined where nobody has noted that
 * @returns a few words; undefined for a key that may be signed
 */
export function keyFault(
  origin: KeyOrigin,
  owner: Ownership | undefined,
  made: SetHome | undefined,
): string | undefined {
  const { uid, isInSet, isOurFolder, folderUid, home } = origin;
  if (origin.isWide) return "others can write it";
  // Only root can have put it there, whoever is to read it.
  if (isOurFolder) return undefined;
  if (!isInSet && origin.isLinked) return "it has another name (a hard link)";
  if (isInSet && made !== undefined && !isAtHome(made, origin)) {
    return `${setFolderName(basename(home.path))} is the set of ${made.path}`;
  }
  if (uid === owner?.uid && !isTrusted(uid)) return undefined;
  if (isTrusted(uid)) {
    // It may have been made for another certificate, whose readers know it.
    const isTied = isInSet && made !== undefined;
    return origin.isShared && !isTied ? "others can read it, and could have put it there" : undefined;
  }
  if (owner === undefined && uid === folderUid) return undefined;
  return owner === undefined && folderUid === undefined
    ? `it belongs to user ${uid}, and its folder can be written by others`
    : `it belongs to user ${uid}`;
}
