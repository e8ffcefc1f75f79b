import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  type Stats,
  statSync,
} from "node:fs";
import { ExitCode } from "../failure.ts";
import {
  currentName,
  findPlace,
  isOurLink,
  linkTarget,
  type Member,
  makePlace,
  memberNames,
  members,
  outerName,
  outerPath,
  type Place,
} from "./certificate-place.ts";
import {
  compareAttributes,
  createFile,
  type Ownership,
  randomHex,
  removeTemporaries,
  replaceLink,
  setAttributes,
  syncFolder,
  touch,
} from "./durable.ts";
import { errorCode, fileError } from "./file-error.ts";
import { type Folder, type Folders, isTrusted } from "./folder.ts";
import { type LockOptions, takeLock } from "./lock.ts";
import { addPending, isPending } from "./pending.ts";
import { type FileContent, readSmallFile } from "./read-file.ts";
import { sealOf, statMembers } from "./seal.ts";

export interface SetFiles {
  /** PEM. */
  readonly key: string;
  readonly certificate: string;
  readonly ca: string;
  /** What was asked for, as JSON. */
  readonly request: string;
}

/** A set to be put in place. */
interface NewSet extends Omit<SetFiles, "request"> {
  /** Is given the seal of the three as they stand then; undefined where that can't be told. */
  readonly request: string | ((seal: string | undefined) => string);
}

/** A set as it stands: those of its files that are there. */
export interface StoredSet extends Optional<SetFiles> {
  /** See `sealOf`; undefined where the files were read at once. */
  readonly seal?: string;
  /** Of the key; undefined where there is none. */
  readonly owner?: Ownership;
  /** Mode and owner of each of the three that is there. */
  readonly attributes?: Readonly<Partial<Record<Member, Ownership & { readonly mode: number }>>>;
  /** When the CA was last known to be the server's; undefined for plain files. */
  readonly checkedAt?: Date | undefined;
  /** Somebody still has to act on a change. */
  readonly isPending?: boolean;
}

type Optional<T> = { readonly [K in keyof T]?: T[K] | undefined };

/** A place that no other run changes meanwhile. */
export interface LockedPlace extends Disposable {
  read(): StoredSet;
  /**
   * Puts a new set in the place of what stands, at one moment. Stopped anywhere, readers find the old files or the
   * new ones, and the next call cleans up.
   *
   * @param pending what somebody has to act on, kept durably from before the change; see `readPending`
   * @throws Failure (can't write); then the old files stand
   */
  replace(files: NewSet, owner: Ownership | undefined, pending: readonly string[]): void;
  /** Notes that the CA is the server's at this time. */
  markChecked(): void;
}

/** Longer than any chain that a server would give. */
const maxBytes = 256 * 1024;
const requestName = "request.json";
const checkedName = "ca-checked";

/**
 * Reads what stands at a destination: plain files, as the Go tool left them, or a set. Writes nothing.
 *
 * @throws Failure (can't write) when something stands there that is not ours to replace
 */
export function readSet(destination: string, folders?: Folders): StoredSet {
  for (let left = 3; ; left--) {
    using place = findPlace(destination, folders);
    if (place === undefined) return {};
    try {
      return read(place);
    } catch (error) {
      // Without the lock, another run may have made links of the files between our look at them and our reading.
      if (left === 0 || !memberNames.some((member) => isOurLink(place, member))) throw error;
    }
  }
}

/** As `readSet`, without the key and what is beside it: for who may not read those. */
export function readPublicSet(destination: string): StoredSet {
  using place = findPlace(destination);
  if (place === undefined) return {};
  const [certificate, ca] = [readMember(place, "certificate"), readMember(place, "ca")];
  return {
    ...(certificate === undefined ? {} : { certificate: certificate.text }),
    ...(ca === undefined ? {} : { ca: ca.text }),
  };
}

/**
 * Makes the folders of a destination where they are missing, and locks it for this run.
 *
 * @throws Failure (can't write); (try later) when another run holds it for too long
 */
export async function lockPlace(
  destination: string,
  owner: Ownership | undefined,
  options: LockOptions,
): Promise<LockedPlace> {
  const place = makePlace(destination, owner);
  try {
    const lock = await takeLock(`${place.set.path}/lock`, options, `${place.set.name}/lock`);
    return {
      read: () => read(place),
      replace: (files, newOwner, pending) =>
        guard(place, "certificate", () => {
          addPending(place.set, pending);
          replace(place, place.set, files, newOwner);
        }),
      markChecked: () => guard(place, "ca", () => touch(`${place.set.path}/${checkedName}`)),
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

function read(place: Place): StoredSet {
  const linked = memberNames.filter((member) => isOurLink(place, member));
  const found = memberNames.flatMap((member) => {
    const file = readMember(place, member, linked.includes(member));
    return file === undefined ? [] : [[member, file] as const];
  });
  if (found.length === 0) return {};
  const attributes: NonNullable<StoredSet["attributes"]> = Object.fromEntries(
    found.map(([member, { stats }]) => [member, { mode: stats.mode, uid: stats.uid, gid: stats.gid }]),
  );
  const { key } = attributes;
  return {
    ...Object.fromEntries(found.map(([member, { text }]) => [member, text])),
    attributes,
    ...(key === undefined ? {} : { owner: { uid: key.uid, gid: key.gid } }),
    // Plain files that were put in the links' place are not what the request beside the set speaks of.
    request: linked.length === memberNames.length ? readRequest(place) : undefined,
    ...(place.set === undefined
      ? { isPending: false }
      : lookBeside(place.set, found.find(([member]) => member === "ca")?.[1].stats)),
  };
}

/** @param ca what is known of the CA file, where there is one */
export function lookBeside(set: Folder, ca: Stats | undefined): Pick<StoredSet, "checkedAt" | "isPending"> {
  try {
    return { checkedAt: lastLook(set, ca), isPending: isPending(set) };
  } catch (error) {
    throw fileError(ExitCode.cantCreate, "look at", set.name, error);
  }
}

/** The later of the set's making, when the CA came with the certificate, and of the last look. */
function lastLook(set: Folder, ca: Stats | undefined): Date | undefined {
  const checked = statSync(`${set.path}/${checkedName}`, { throwIfNoEntry: false });
  const times = [ca, checked].flatMap((stats) => (stats === undefined ? [] : [stats.mtimeMs]));
  return times.length === 0 ? undefined : new Date(Math.max(...times));
}

export function readRequest({ set }: Place): string | undefined {
  const path = `${currentName}/${requestName}`;
  const file = set && readSmallFile(`${set.path}/${path}`, maxBytes, `${set.name}/${path}`);
  return file !== undefined && isTrusted(file.stats.uid) ? file.text : undefined;
}

/** Through our own folder where it is our link, so that nobody can lead the reading elsewhere. */
function readMember(place: Place, member: Member, ours = isOurLink(place, member)): FileContent | undefined {
  if (ours && place.set === undefined) return undefined;
  const path = ours ? `${place.set?.path}/${currentName}/${members[member].name}` : outerPath(place, member);
  return readSmallFile(path, maxBytes, outerName(place, member));
}

function replace(place: Place, set: Folder, files: NewSet, owner: Ownership | undefined): void {
  for (const member of memberNames) removeTemporaries(outerPath(place, member));
  removeTemporaries(`${set.path}/${currentName}`);
  const before = currentVersion(set);
  removeVersions(set, [before]);
  if (before === undefined || !memberNames.every((member) => isOurLink(place, member))) adopt(place, set);
  const standing = currentVersion(set);
  const version = makeVersion(set, (folder) => {
    for (const member of memberNames) {
      createFile(`${folder}/${members[member].name}`, files[member], { mode: members[member].mode, owner });
    }
    const stats = statMembers(folder);
    const { request } = files;
    const noted = typeof request === "string" ? request : request(stats && sealOf(stats));
    // Root's: whoever owns it decides what is due, and what `status` says to run.
    createFile(`${folder}/${requestName}`, noted, { mode: 0o644 });
  });
  replaceLink(`${set.path}/${currentName}`, version);
  // The one before stays until the next: a reader on its way through the old link still finds its file.
  removeVersions(set, [standing, version]);
}

/**
 * Turns plain files into links to copies of them: what readers find stays the same at each step, and is behind the
 * one link that can be switched in the end. Names without a file become links to nothing, which is no file still.
 */
function adopt(place: Place, set: Folder): void {
  const standing = memberNames.flatMap((member) => {
    const file = readMember(place, member);
    return file === undefined ? [] : [[member, file] as const];
  });
  if (standing.length === 0) rmSync(`${set.path}/${currentName}`, { force: true, recursive: true });
  else {
    const version = makeVersion(set, (folder) => {
      for (const [member, { text, stats }] of standing) {
        const owner = { uid: stats.uid, gid: stats.gid };
        // No wider than it was: it may be no file of ours at all.
        createFile(`${folder}/${members[member].name}`, text, {
          mode: members[member].mode & stats.mode,
          owner,
        });
      }
    });
    const current = `${set.path}/${currentName}`;
    // A link can't take a folder's place; what is in this one was read above.
    if (lstatSync(current, { throwIfNoEntry: false })?.isDirectory()) rmSync(current, { recursive: true });
    replaceLink(current, version);
  }
  for (const member of memberNames) {
    if (!isOurLink(place, member)) replaceLink(outerPath(place, member), linkTarget(place, member));
  }
}

/** A folder with a set in it, whole and on the disk before anything points to it. Gives its name. */
function makeVersion(set: Folder, fill: (folder: string) => void): string {
  const stamp = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const version = `${stamp}-${randomHex(3)}`;
  const folder = `${set.path}/${version}`;
  mkdirSync(folder, { mode: 0o700 });
  fill(folder);
  chmodSync(folder, 0o755);
  syncFolder(folder);
  syncFolder(set.path);
  return version;
}

function currentVersion(set: Folder): string | undefined {
  try {
    return readlinkSync(`${set.path}/${currentName}`);
  } catch (error) {
    // Not there, or a folder, which a copy that follows links makes of it.
    if (["ENOENT", "EINVAL"].includes(errorCode(error))) return undefined;
    throw error;
  }
}

function removeVersions(set: Folder, kept: ReadonlyArray<string | undefined>): void {
  for (const name of readdirSync(set.path)) {
    if (/^\d{8}T\d{6}Z-[0-9a-f]{6}$/.test(name) && !kept.includes(name)) {
      rmSync(`${set.path}/${name}`, { recursive: true, force: true });
    }
  }
}

/** Whether `mendAttributes` would have to do something, by a look that was taken already. */
export function isMendDue({ attributes = {} }: StoredSet, owner: Ownership | undefined): boolean {
  return memberNames.some((member) => {
    const found = attributes[member];
    if (found === undefined) return false;
    const { isWide, isForeign } = compareAttributes(found, { mode: members[member].mode, owner });
    return isWide || isForeign;
  });
}

/**
 * Sets mode and owner of the three files where they are not as they should be, and touches nothing else.
 *
 * @returns the paths that were mended
 * @throws Failure (can't write)
 */
export function mendAttributes(destination: string, owner: Ownership | undefined): readonly string[] {
  using place = findPlace(destination);
  if (place === undefined) return [];
  return memberNames.flatMap((member) =>
    guard(place, member, () => {
      const path = isOurLink(place, member)
        ? `${place.set?.path}/${currentName}/${members[member].name}`
        : outerPath(place, member);
      return setAttributes(path, { mode: members[member].mode, owner }) ? [outerName(place, member)] : [];
    }),
  );
}

function guard<T>(place: Place, member: Member, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw fileError(ExitCode.cantCreate, "write", outerName(place, member), error);
  }
}
