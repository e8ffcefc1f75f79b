import { chmodSync, lstatSync, mkdirSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { isClosed } from "./access.ts";
import {
  checkedName,
  currentName,
  currentVersion,
  findPlace,
  isOurLink,
  isVersionName,
  linkTarget,
  lockedThing,
  type Member,
  makePlace,
  memberNames,
  memberPath,
  members,
  openCurrent,
  type Place,
  publicName,
  publicPath,
  requestName,
} from "./certificate-place.ts";
import { readMember, readPlace, type SetFacts, type SetFiles, type StoredSet } from "./certificate-set.ts";
import {
  type AttributesOutcome,
  compareAttributes,
  createFile,
  type FileAttributes,
  type Ownership,
  randomHex,
  removeTemporaries,
  replaceLink,
  setAttributes,
  syncFolder,
  touch,
  wakeWatchers,
} from "./durable.ts";
import { errorCode, fileError } from "./file-error.ts";
import { type Folder, openInside } from "./folder.ts";
import { type SetHome, setHome } from "./foreign-key.ts";
import { takeHostLock } from "./host-lock.ts";
import { groupReads } from "./key-mode.ts";
import type { LockOptions } from "./lock.ts";
import { addPending } from "./pending.ts";
import { fingerprintOf, statMembers } from "./set-fingerprint.ts";

/** The mode of the folders that hold the three files. The key is protected by its own mode. */
const folderMode = 0o755;

/** A set to store. */
interface NewSet extends SetFiles {
  /**
   * The record to keep beside the files, or a function that makes it. The fingerprint is undefined if it can't be
   * taken.
   */
  readonly request: string | ((fingerprint: string | undefined, home: SetHome) => string);
  /** When the CA file was last compared with the server's CAs. @default now */
  readonly caCheckedAt?: Date | undefined;
}

/** The attributes that the files of a set should have. */
export interface SetAttributes {
  readonly owner?: Ownership | undefined;
  /** The mode of the key file. A file with fewer bits for its owner is left as it is. @default 0600 */
  readonly keyMode?: number | undefined;
}

/** The attributes that one file should have. */
function attributesOf(member: Member, { owner, keyMode }: SetAttributes): FileAttributes {
  return member === "key" && keyMode !== undefined
    ? { mode: keyMode, least: keyMode & groupReads, owner }
    : { mode: members[member].mode, owner };
}

/** A destination that is locked against other runs. */
export interface LockedPlace extends Disposable {
  read(): StoredSet;
  /**
   * Replaces the set atomically. If the run is stopped at any point, readers find either the old files or the new ones,
   * and the next call cleans up. Afterwards, programs that watch the old files are woken. A failure of that is a note.
   *
   * @param pending the changed files that hooks have to act on, recorded durably before the change; see `readPending`
   * @throws Failure (file); then the old files are still there
   */
  replace(files: NewSet, attributes: SetAttributes, pending: readonly Member[]): void;
  /** Records that the files match the server's CAs now. */
  markChecked(): void;
}

export interface PlaceOptions extends LockOptions {
  /** Takes notes on what went wrong without harm to the files. */
  readonly onNote?: ((sentence: string) => void) | undefined;
}

/**
 * Locks a destination for this run. Makes its folders if they are missing.
 *
 * @throws Failure (file); (temporary) when another run holds it for too long
 */
export async function lockPlace(
  destination: string,
  owner: Ownership | undefined,
  options: PlaceOptions,
): Promise<LockedPlace> {
  const place = makePlace(destination, owner);
  try {
    const lock = await takeHostLock(lockedThing(place, "set"), options);
    return {
      read: () => readPlace(place),
      replace: (files, attributes, pending) =>
        asFileError(place, "certificate", () => {
          addPending(place.sets, pending);
          replace(place, place.sets, files, attributes, options.onNote);
        }),
      markChecked: () => asFileError(place, "ca", () => touch(`${place.sets.path}/${checkedName}`)),
      [Symbol.dispose]() {
        lock[Symbol.dispose]();
        place[Symbol.dispose]();
      },
    };
  } catch (error) {
    place[Symbol.dispose]();
    throw error;
  }
}

function replace(
  place: Place,
  sets: Folder,
  files: NewSet,
  attributes: SetAttributes,
  onNote: PlaceOptions["onNote"],
): void {
  for (const member of memberNames) removeTemporaries(publicPath(place, member), attributes);
  removeTemporaries(`${sets.path}/${currentName}`);
  const previous = currentVersion(sets);
  removeVersions(sets, [previous]);
  if (previous === undefined || !memberNames.every((member) => isOurLink(place, member)))
    adoptPlainFiles(place, sets, attributes);
  const replaced = currentVersion(sets);
  const version = makeVersion(sets, (folder) => {
    for (const member of memberNames) {
      createFile(`${folder}/${members[member].name}`, files[member], attributesOf(member, attributes));
    }
    const { request, caCheckedAt } = files;
    // The time of the CA file is that of the last CA check.
    if (caCheckedAt !== undefined) utimesSync(`${folder}/${members.ca.name}`, caCheckedAt, caCheckedAt);
    const stats = statMembers(folder);
    const record =
      typeof request === "string" ? request : request(stats && fingerprintOf(stats), setHome(place));
    // Owned by root: its owner decides when the certificate is due, and which commands `status` suggests.
    createFile(`${folder}/${requestName}`, record, { mode: 0o644 });
  });
  replaceLink(`${sets.path}/${currentName}`, version);
  if (replaced !== undefined) wakeWatchersOf(place, sets, replaced, onNote);
  // Keep the previous set until the next call, for readers that have just followed the old link.
  removeVersions(sets, [replaced, version]);
}

/**
 * Wakes programs that watch the files of the set that was in use. inotify watches the file that a name leads to, and
 * switching the link is no event for that file. The new set is in place already, so a failure is no more than a note.
 */
function wakeWatchersOf(place: Place, sets: Folder, replaced: string, onNote: PlaceOptions["onNote"]): void {
  if (!isVersionName(replaced)) return;
  try {
    using folder = openInside(sets, replaced);
    for (const member of memberNames) wakeWatchers(`${folder.path}/${members[member].name}`);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return; // the link led nowhere
    const name = publicName(place, "certificate");
    onNote?.(fileError("file", "wake programs that watch", name, error).message);
  }
}

/**
 * Replaces plain files by links to copies of them. Readers find the same content at each step, and in the end all of it
 * is behind the one link that can be switched. A missing file becomes a link to nothing, so it is still missing.
 */
function adoptPlainFiles(place: Place, sets: Folder, attributes: SetAttributes): void {
  using current = openCurrent(place);
  const existing = memberNames.flatMap((member) => {
    const file = readMember(place, current, member);
    return file === undefined ? [] : [[member, file] as const];
  });
  if (existing.length === 0) rmSync(`${sets.path}/${currentName}`, { force: true, recursive: true });
  else {
    const version = makeVersion(sets, (folder) => {
      for (const [member, { text, stats }] of existing) {
        const owner = { uid: stats.uid, gid: stats.gid };
        // Never wider than before, since the file may be a foreign one.
        createFile(`${folder}/${members[member].name}`, text, {
          mode: attributesOf(member, attributes).mode & stats.mode,
          owner,
        });
      }
    });
    const link = `${sets.path}/${currentName}`;
    // A rename can't replace a folder by a link. The content of this folder was read above.
    if (lstatSync(link, { throwIfNoEntry: false })?.isDirectory()) rmSync(link, { recursive: true });
    replaceLink(link, version);
  }
  for (const member of memberNames) {
    if (isOurLink(place, member)) continue;
    asFileError(place, member, () => replaceLink(publicPath(place, member), linkTarget(place, member)));
  }
}

/** Makes a folder with a set in it, and syncs it before anything points to it. Returns its name. */
function makeVersion(sets: Folder, fill: (folder: string) => void): string {
  const stamp = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const version = `${stamp}-${randomHex(3)}`;
  const folder = `${sets.path}/${version}`;
  mkdirSync(folder, { mode: 0o700 });
  fill(folder);
  chmodSync(folder, folderMode);
  syncFolder(folder);
  syncFolder(sets.path);
  return version;
}

function removeVersions(sets: Folder, kept: ReadonlyArray<string | undefined>): void {
  for (const name of readdirSync(sets.path)) {
    if (isVersionName(name) && !kept.includes(name)) {
      rmSync(`${sets.path}/${name}`, { recursive: true, force: true });
    }
  }
}

/** A file with a wrong owner or mode. */
export interface AttributeFault {
  readonly member: Member;
  readonly mode: number;
  /** The mode that it should have. */
  readonly wanted: number;
  readonly isForeign: boolean;
}

/** The files with a wrong owner or mode, by what was already seen of them: those that `fixAttributes` would fix. */
export function attributeFaults(
  { attributes }: Pick<SetFacts, "attributes">,
  asked: SetAttributes,
): readonly AttributeFault[] {
  return memberNames.flatMap((member): AttributeFault[] => {
    const found = attributes[member];
    if (found === undefined) return [];
    const wanted = attributesOf(member, asked);
    const { isWide, isNarrow, isForeign } = compareAttributes(found, wanted);
    const isRight = !isWide && !isNarrow && !isForeign;
    // A right mode may have fewer bits for its owner than is asked for.
    const mode = isWide || isNarrow ? found.mode : wanted.mode;
    return isRight ? [] : [{ member, mode, wanted: wanted.mode, isForeign }];
  });
}

/** The files and folders that had a wrong mode or owner. */
export interface FixedFiles {
  readonly fixed: readonly string[];
  /** Left alone, because they have a second name (a hard link). */
  readonly linked: readonly string[];
}

/**
 * Corrects mode and owner of the three files, and opens their own folders to readers if they are closed. Changes
 * nothing else.
 *
 * @throws Failure (file)
 */
export function fixAttributes(destination: string, asked: SetAttributes): FixedFiles {
  using place = findPlace(destination);
  if (place === undefined) return { fixed: [], linked: [] };
  using current = openCurrent(place);
  const results = memberNames.map((member) =>
    asFileError(place, member, () => {
      const isLinked = isOurLink(place, member);
      const path = memberPath(place, current, member, isLinked);
      const outcome =
        path === undefined ? "right" : setAttributes(path, attributesOf(member, asked), isLinked);
      return { outcome, name: publicName(place, member) };
    }),
  );
  const opened = openToReaders(place, current);
  const withOutcome = (wanted: AttributesOutcome) =>
    results.flatMap(({ outcome, name }) => (outcome === wanted ? [name] : []));
  return { fixed: [...opened, ...withOutcome("fixed")], linked: withOutcome("linked") };
}

/** Uses the folders that are open already, since the link could lead elsewhere by now. */
function openToReaders(place: Place, current: Folder | undefined): string[] {
  return [place.sets, current].flatMap((folder) => {
    if (folder === undefined || !isClosed(folder.stats)) return [];
    asFileError(place, "certificate", () => chmodSync(folder.path, folderMode));
    return [folder === place.sets ? folder.name : `${place.sets?.name}/${currentName}`];
  });
}

function asFileError<T>(place: Place, member: Member, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw fileError("file", "write", publicName(place, member), error);
  }
}
