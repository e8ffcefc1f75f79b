import { type Stats, statSync } from "node:fs";
import { isClosed, isTrusted } from "./access.ts";
import {
  checkedName,
  currentName,
  findPlace,
  isOurLink,
  type Member,
  memberNames,
  memberPath,
  openCurrent,
  outerName,
  type Place,
  requestName,
} from "./certificate-place.ts";
import type { Ownership } from "./durable.ts";
import { fileError } from "./file-error.ts";
import type { Folder, Folders } from "./folder.ts";
import { type KeyOrigin, keyOrigin } from "./key-origin.ts";
import { isPending } from "./pending.ts";
import { type FileContent, readSmallFile } from "./read-file.ts";

export interface SetFiles {
  /** PEM. */
  readonly key: string;
  readonly certificate: string;
  readonly ca: string;
  /** What was asked for, as JSON. */
  readonly request: string;
}

/** A set as it stands: those of its files that are there. */
export interface StoredSet extends Optional<SetFiles> {
  /** The request beside the set, also where plain files are in the place of its links. */
  readonly noted?: string | undefined;
  /** See `sealOf`; undefined where the files were read at once. */
  readonly seal?: string;
  /** Of the key; undefined where there is none. */
  readonly owner?: Ownership;
  /** Who could have put the key there; undefined where there is none. */
  readonly keyOrigin?: KeyOrigin;
  /** Mode and owner of each of the three that is there. */
  readonly attributes?: Readonly<Partial<Record<Member, Ownership & { readonly mode: number }>>>;
  /** When the CA was last known to be the server's; undefined for plain files. */
  readonly checkedAt?: Date | undefined;
  /** Somebody still has to act on a change. */
  readonly isPending?: boolean;
  /** Nobody else can get to its files: release 1.0.0 left it so in a folder with the setgid bit. */
  readonly isClosed?: boolean;
}

type Optional<T> = { readonly [K in keyof T]?: T[K] | undefined };

/** Longer than any chain that a server would give. */
const maxBytes = 256 * 1024;

/**
 * Reads what stands at a destination: plain files, as the Go tool left them, or a set. Writes nothing.
 *
 * @throws Failure (file) when something stands there that is not ours to replace
 */
export function readSet(destination: string, folders?: Folders): StoredSet {
  for (let left = 3; ; left--) {
    using place = findPlace(destination, folders);
    if (place === undefined) return {};
    try {
      return readPlace(place);
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
  using current = openCurrent(place);
  const [certificate, ca] = [readMember(place, current, "certificate"), readMember(place, current, "ca")];
  return {
    ...(certificate === undefined ? {} : { certificate: certificate.text }),
    ...(ca === undefined ? {} : { ca: ca.text }),
  };
}

/** As `readSet`, of a place that is held open. */
export function readPlace(place: Place): StoredSet {
  using current = openCurrent(place);
  const linked = memberNames.filter((member) => isOurLink(place, member));
  const found = memberNames.flatMap((member) => {
    const file = readMember(place, current, member, linked.includes(member));
    return file === undefined ? [] : [[member, file] as const];
  });
  if (found.length === 0) return {};
  const attributes: NonNullable<StoredSet["attributes"]> = Object.fromEntries(
    found.map(([member, { stats }]) => [member, { mode: stats.mode, uid: stats.uid, gid: stats.gid }]),
  );
  const { key } = attributes;
  const noted = readRequest(current);
  const keyStats = found.find(([member]) => member === "key")?.[1].stats;
  return {
    ...Object.fromEntries(found.map(([member, { text }]) => [member, text])),
    attributes,
    ...(key === undefined ? {} : { owner: { uid: key.uid, gid: key.gid } }),
    ...(keyStats === undefined ? {} : { keyOrigin: keyOrigin(place, keyStats, linked.includes("key")) }),
    // Plain files that were put in the links' place are not what the request beside the set speaks of.
    request: linked.length === memberNames.length ? noted : undefined,
    noted,
    ...(place.set === undefined
      ? { isPending: false }
      : lookBeside(place.set, found.find(([member]) => member === "ca")?.[1].stats)),
  };
}

/** @param ca what is known of the CA file, where there is one */
export function lookBeside(
  set: Folder,
  ca: Stats | undefined,
): Pick<StoredSet, "checkedAt" | "isPending" | "isClosed"> {
  try {
    const version = statSync(`${set.path}/${currentName}`, { throwIfNoEntry: false });
    return {
      checkedAt: lastLook(set, ca),
      isPending: isPending(set),
      isClosed: isClosed(set.stats) || (version !== undefined && isClosed(version)),
    };
  } catch (error) {
    throw fileError("file", "look at", set.name, error);
  }
}

/** The later of the set's making, when the CA came with the certificate, and of the last look. */
function lastLook(set: Folder, ca: Stats | undefined): Date | undefined {
  const checked = statSync(`${set.path}/${checkedName}`, { throwIfNoEntry: false });
  const times = [ca, checked].flatMap((stats) => (stats === undefined ? [] : [stats.mtimeMs]));
  return times.length === 0 ? undefined : new Date(Math.max(...times));
}

/** As it was noted beside the set; undefined where nobody has, or another user could have. */
export function readRequest(current: Folder | undefined): string | undefined {
  const file =
    current && readSmallFile(`${current.path}/${requestName}`, maxBytes, `${current.name}/${requestName}`);
  return file !== undefined && isTrusted(file.stats.uid) ? file.text : undefined;
}

/**
 * One of the three files; undefined where there is none.
 *
 * @param current see `openCurrent`
 * @param isLinked as `isOurLink` says, where it was asked already
 * @throws Failure as `readSmallFile`
 */
export function readMember(
  place: Place,
  current: Folder | undefined,
  member: Member,
  isLinked?: boolean,
): FileContent | undefined {
  const path = memberPath(place, current, member, isLinked);
  return path === undefined ? undefined : readSmallFile(path, maxBytes, outerName(place, member));
}
