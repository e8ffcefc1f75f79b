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
  type Place,
  publicName,
  requestName,
} from "./certificate-place.ts";
import type { Ownership } from "./durable.ts";
import { fileError } from "./file-error.ts";
import type { Folder, Folders } from "./folder.ts";
import { type KeyOrigin, keyOrigin } from "./foreign-key.ts";
import { isPending } from "./pending.ts";
import { type FileContent, readSmallFile } from "./read-file.ts";
import { fingerprintOf, statMembers } from "./set-fingerprint.ts";

/** The three files, in PEM. */
export type SetFiles = Readonly<Record<Member, string>>;

/** The texts of the files that everybody may read. */
export type PublicFiles = Omit<SetFiles, "key">;

/** What is known of a destination beside the contents of its files. */
export interface SetFacts {
  /** Mode and owner of each of the three files that exists. */
  readonly attributes: Readonly<Partial<Record<Member, Ownership & { readonly mode: number }>>>;
  /** Who could have put the key there; undefined if there is none. */
  readonly keyOrigin?: KeyOrigin | undefined;
  /** The record of the request for these files, as JSON; undefined for plain files. */
  readonly request?: string | undefined;
  /** The record beside the set, even if plain files have taken the place of its links. */
  readonly noted?: string | undefined;
  /** When the CA file was last compared with the server's CAs; undefined for plain files. */
  readonly checkedAt?: Date | undefined;
  /** Some hooks still have to act on a change. */
  readonly isPending: boolean;
  /** Only root can get to its files. Release 1.0.0 left sets like this in a folder with the setgid bit. */
  readonly isClosed: boolean;
}

/** The state of a destination: none of the three files exists, or some, or all. */
export type StoredSet =
  | { readonly state: "missing" }
  | (SetFacts & { readonly state: "partial"; readonly files: Partial<SetFiles> })
  | (SetFacts & { readonly state: "whole"; readonly files: SetFiles });

/** Like `StoredSet`, but the files of a whole set may be unread, with only their fingerprint taken. */
export type SeenSet = StoredSet | (SetFacts & { readonly state: "unread"; readonly fingerprint: string });

/** Longer than any chain from a server. */
const maxBytes = 256 * 1024;

/**
 * Reads a destination: a set, or plain files as the Go tool leaves them. Writes nothing.
 *
 * @throws Failure (file) when something there must not be replaced, such as a foreign link
 */
export function readSet(destination: string, folders?: Folders): StoredSet {
  for (let left = 3; ; left--) {
    using place = findPlace(destination, folders);
    if (place === undefined) return { state: "missing" };
    try {
      return readPlace(place);
    } catch (error) {
      // Without the lock, another run may have replaced plain files by links while we were reading. Then read again.
      if (left === 0 || !memberNames.some((member) => isOurLink(place, member))) throw error;
    }
  }
}

/**
 * Like `readSet`, but cheaper, for every run. Most often nothing has changed since the day before, so the three files
 * of a set are not opened. Only their fingerprint is taken.
 *
 * @throws Failure (file) when something there must not be replaced, such as a foreign link
 */
export function lookAtSet(destination: string, folders?: Folders): SeenSet {
  using place = findPlace(destination, folders);
  if (place === undefined) return { state: "missing" };
  const { sets } = place;
  const isLinked = sets !== undefined && memberNames.every((member) => isOurLink(place, member));
  using current = isLinked ? openCurrent(place) : undefined;
  const stats = current && statMembers(current.path);
  if (sets === undefined || stats === undefined) return readSet(destination, folders);
  const request = readRequest(current);
  return {
    state: "unread",
    fingerprint: fingerprintOf(stats),
    attributes: stats,
    keyOrigin: keyOrigin(place, stats.key, true),
    request,
    noted: request,
    ...lookBeside(sets, stats.ca),
  };
}

/** Reads only the certificate and the CA, for users who may not read the key. */
export function readPublicFiles(destination: string): Partial<PublicFiles> {
  using place = findPlace(destination);
  if (place === undefined) return {};
  using current = openCurrent(place);
  const [certificate, ca] = [readMember(place, current, "certificate"), readMember(place, current, "ca")];
  return {
    ...(certificate === undefined ? {} : { certificate: certificate.text }),
    ...(ca === undefined ? {} : { ca: ca.text }),
  };
}

/** Like `readSet`, for a destination that is held open. */
export function readPlace(place: Place): StoredSet {
  using current = openCurrent(place);
  const linked = memberNames.filter((member) => isOurLink(place, member));
  const found = memberNames.flatMap((member) => {
    const file = readMember(place, current, member, linked.includes(member));
    return file === undefined ? [] : [[member, file] as const];
  });
  if (found.length === 0) return { state: "missing" };
  const files: Partial<SetFiles> = Object.fromEntries(found.map(([member, { text }]) => [member, text]));
  const { key, certificate, ca } = files;
  const statsOf = (wanted: Member) => found.find(([member]) => member === wanted)?.[1].stats;
  const keyStats = statsOf("key");
  const noted = readRequest(current);
  const facts: SetFacts = {
    attributes: Object.fromEntries(
      found.map(([member, { stats }]) => [member, { mode: stats.mode, uid: stats.uid, gid: stats.gid }]),
    ),
    keyOrigin: keyStats && keyOrigin(place, keyStats, linked.includes("key")),
    // The record beside the set does not describe plain files in place of its links.
    request: linked.length === memberNames.length ? noted : undefined,
    noted,
    ...(place.sets === undefined
      ? { isPending: false, isClosed: false }
      : lookBeside(place.sets, statsOf("ca"))),
  };
  return key === undefined || certificate === undefined || ca === undefined
    ? { state: "partial", files, ...facts }
    : { state: "whole", files: { key, certificate, ca }, ...facts };
}

/** @param ca the CA file, if it exists */
function lookBeside(
  sets: Folder,
  ca: Stats | undefined,
): Pick<SetFacts, "checkedAt" | "isPending" | "isClosed"> {
  try {
    const version = statSync(`${sets.path}/${currentName}`, { throwIfNoEntry: false });
    return {
      checkedAt: lastCaCheck(sets, ca),
      isPending: isPending(sets),
      isClosed: isClosed(sets.stats) || (version !== undefined && isClosed(version)),
    };
  } catch (error) {
    throw fileError("file", "look at", sets.name, error);
  }
}

/** The time of the last CA check: the CA file's, or a later one that changed nothing. */
function lastCaCheck(sets: Folder, ca: Stats | undefined): Date | undefined {
  const checked = statSync(`${sets.path}/${checkedName}`, { throwIfNoEntry: false });
  const times = [ca, checked].flatMap((stats) => (stats === undefined ? [] : [stats.mtimeMs]));
  return times.length === 0 ? undefined : new Date(Math.max(...times));
}

/** The record beside the set; undefined if there is none, or if another user owns it. */
function readRequest(current: Folder | undefined): string | undefined {
  const file =
    current && readSmallFile(`${current.path}/${requestName}`, maxBytes, `${current.name}/${requestName}`);
  return file !== undefined && isTrusted(file.stats.uid) ? file.text : undefined;
}

/**
 * One of the three files; undefined if it is missing.
 *
 * @param current see `openCurrent`
 * @param isLinked the result of `isOurLink`, if it is known already
 * @throws Failure as `readSmallFile`
 */
export function readMember(
  place: Place,
  current: Folder | undefined,
  member: Member,
  isLinked?: boolean,
): FileContent | undefined {
  const path = memberPath(place, current, member, isLinked);
  return path === undefined ? undefined : readSmallFile(path, maxBytes, publicName(place, member));
}
