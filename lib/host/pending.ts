import { rmSync, statSync } from "node:fs";
import { findPlace, lockedThing, type Member, memberNames } from "./certificate-place.ts";
import { randomHex, removeTemporaries, replaceFile, syncFolder } from "./durable.ts";
import { fileError } from "./file-error.ts";
import type { Folder, Folders } from "./folder.ts";
import { takeHostLock } from "./host-lock.ts";
import type { LockOptions } from "./lock.ts";
import { readSmallFile } from "./read-file.ts";

/** What has changed at a destination, and who has acted on it so far. */
export interface Pending {
  /** Another for each change: what was done for one is not done for the next. */
  readonly id: string;
  readonly changed: readonly Member[];
  /** The hooks that have succeeded since. */
  readonly done: readonly string[];
}

const pendingName = "pending";
const maxBytes = 64 * 1024;
const nothing: Pending = { id: "", changed: [], done: [] };

/**
 * What nobody, or not everybody, has acted on yet. It is noted before the change is made, so none is ever forgotten;
 * one that was noted and then not made is acted on for nothing, once.
 *
 * @throws Failure (file) where the folder is not ours
 */
export function readPending(destination: string, folders?: Folders): Pending {
  using place = findPlace(destination, folders);
  return place?.set === undefined ? nothing : read(place.set);
}

/** Whether there is something to act on, perhaps. Throws the system's error. */
export function isPending(set: Folder): boolean {
  return statSync(`${set.path}/${pendingName}`, { throwIfNoEntry: false }) !== undefined;
}

/** Notes a change, beside those that are noted; hooks that acted on those have to act again. Throws the system's error. */
export function addPending(set: Folder, changed: readonly Member[]): void {
  if (changed.length === 0) return;
  removeTemporaries(`${set.path}/${pendingName}`);
  write(set, { id: randomHex(8), changed: [...new Set([...read(set).changed, ...changed])], done: [] });
}

/**
 * Keeps other runs from acting on the same change meanwhile.
 *
 * @returns undefined where nothing was ever issued
 * @throws Failure (temporary) when another run holds it for too long; (file)
 */
export async function lockHooks(destination: string, options: LockOptions): Promise<Disposable | undefined> {
  using place = findPlace(destination);
  return place?.set === undefined ? undefined : await takeHostLock(lockedThing(place, "hooks"), options);
}

/**
 * Notes which hooks have succeeded; undefined when all have, and nothing is pending any more. Does nothing when
 * another run has changed the certificate again meanwhile.
 *
 * @throws Failure (temporary) when another run changes it for too long; (file)
 */
export async function settlePending(
  destination: string,
  pending: Pending,
  done: readonly string[] | undefined,
  options: LockOptions,
): Promise<void> {
  using place = findPlace(destination);
  const set = place?.set;
  if (place === undefined || set === undefined) return;
  // The lock of those who change the certificate: what one of them notes just now is not to be removed.
  using _ = await takeHostLock(lockedThing(place, "set"), options);
  if (read(set).id !== pending.id) return;
  try {
    if (done === undefined) {
      rmSync(`${set.path}/${pendingName}`, { force: true });
      syncFolder(set.path);
    } else {
      write(set, { ...pending, done });
    }
  } catch (error) {
    throw fileError("file", "write", `${set.name}/${pendingName}`, error);
  }
}

function write(set: Folder, pending: Pending): void {
  replaceFile(`${set.path}/${pendingName}`, `${JSON.stringify(pending)}\n`, { mode: 0o644 });
}

/**
 * What is noted comes from a unit that talks to the network, and decides what a more privileged one tells hooks. So
 * nothing but a fixed set of values is taken from it; what can't be read any more is pending whole.
 */
function read(set: Folder): Pending {
  const name = `${set.name}/${pendingName}`;
  const file = readSmallFile(`${set.path}/${pendingName}`, maxBytes, name);
  return file === undefined ? nothing : parsePending(file.text);
}

function parsePending(text: string): Pending {
  try {
    const { id, changed, done }: Record<string, unknown> = JSON.parse(text);
    if (typeof id === "string" && /^[0-9a-f]{16}$/.test(id) && isTexts(changed) && isTexts(done)) {
      const members = memberNames.filter((member) => changed.includes(member));
      if (members.length === new Set(changed).size) return { id, changed: inOrder(members), done };
    }
  } catch {
    // as below
  }
  return { id: "", changed: inOrder(memberNames), done: [] };
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((it) => typeof it === "string");
}

/** As hooks have always been told: the certificate first. */
function inOrder(members: readonly Member[]): readonly Member[] {
  return (["certificate", "key", "ca"] as const).filter((member) => members.includes(member));
}
