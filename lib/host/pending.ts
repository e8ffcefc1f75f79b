import { rmSync, statSync } from "node:fs";
import { findPlace, lockedThing, type Member, memberNames } from "./certificate-place.ts";
import { randomHex, removeTemporaries, replaceFile, syncFolder } from "./durable.ts";
import { fileError } from "./file-error.ts";
import type { Folder, Folders } from "./folder.ts";
import { takeHostLock } from "./host-lock.ts";
import type { LockOptions } from "./lock.ts";
import { readSmallFile } from "./read-file.ts";

/** The changes at a destination that hooks still have to act on. */
export interface Pending {
  /** Differs for each change, so that hooks act again on the next one. */
  readonly id: string;
  readonly changed: readonly Member[];
  /** The hooks that have succeeded since the change. */
  readonly done: readonly string[];
}

const pendingName = "pending";
const maxBytes = 64 * 1024;
const nothing: Pending = { id: "", changed: [], done: [] };

/**
 * The changes that some hooks still have to act on. They are recorded before the change is made, so no change is ever
 * forgotten. If the change then fails, hooks run once without need.
 *
 * @throws Failure (file) when others can write in the folder
 */
export function readPending(destination: string, folders?: Folders): Pending {
  using place = findPlace(destination, folders);
  return place?.sets === undefined ? nothing : read(place.sets);
}

/** Whether a pending change is recorded. Throws the system's error. */
export function isPending(sets: Folder): boolean {
  return statSync(`${sets.path}/${pendingName}`, { throwIfNoEntry: false }) !== undefined;
}

/** Adds a change to those already recorded. Hooks that have acted on those run again. Throws the system's error. */
export function addPending(sets: Folder, changed: readonly Member[]): void {
  if (changed.length === 0) return;
  removeTemporaries(`${sets.path}/${pendingName}`);
  write(sets, { id: randomHex(8), changed: [...new Set([...read(sets).changed, ...changed])], done: [] });
}

/**
 * Locks the hooks of a destination, so that no other run acts on the same change.
 *
 * @returns undefined when no certificate was ever issued
 * @throws Failure (temporary) when another run holds it for too long; (file)
 */
export async function lockHooks(destination: string, options: LockOptions): Promise<Disposable | undefined> {
  using place = findPlace(destination);
  return place?.sets === undefined ? undefined : await takeHostLock(lockedThing(place, "hooks"), options);
}

/**
 * Records which hooks have succeeded. Does nothing if another run has changed the certificate again since `pending` was
 * read.
 *
 * @param done undefined when all hooks have succeeded and nothing is pending any longer
 * @throws Failure (temporary) when another run changes it for too long; (file)
 */
export async function settlePending(
  destination: string,
  pending: Pending,
  done: readonly string[] | undefined,
  options: LockOptions,
): Promise<void> {
  using place = findPlace(destination);
  const sets = place?.sets;
  if (place === undefined || sets === undefined) return;
  // The same lock as for changing the certificate, so that a change recorded just now is not removed.
  using _ = await takeHostLock(lockedThing(place, "set"), options);
  if (read(sets).id !== pending.id) return;
  try {
    if (done === undefined) {
      rmSync(`${sets.path}/${pendingName}`, { force: true });
      syncFolder(sets.path);
    } else {
      write(sets, { ...pending, done });
    }
  } catch (error) {
    throw fileError("file", "write", `${sets.name}/${pendingName}`, error);
  }
}

function write(sets: Folder, pending: Pending): void {
  replaceFile(`${sets.path}/${pendingName}`, `${JSON.stringify(pending)}\n`, { mode: 0o644 });
}

/**
 * The file is written by a unit with network access and read by a more privileged one. So only a fixed set of values is
 * accepted. If the file can't be understood, everything counts as changed.
 */
function read(sets: Folder): Pending {
  const name = `${sets.name}/${pendingName}`;
  const file = readSmallFile(`${sets.path}/${pendingName}`, maxBytes, name);
  return file === undefined ? nothing : parsePending(file.text);
}

function parsePending(text: string): Pending {
  try {
    const { id, changed, done }: Record<string, unknown> = JSON.parse(text);
    if (typeof id === "string" && /^[0-9a-f]{16}$/.test(id) && isStrings(changed) && isStrings(done)) {
      const members = memberNames.filter((member) => changed.includes(member));
      if (members.length === new Set(changed).size) return { id, changed: inOrder(members), done };
    }
  } catch {
    // Not JSON: everything is pending, as below.
  }
  return { id: "", changed: inOrder(memberNames), done: [] };
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((it) => typeof it === "string");
}

/** The order in which hooks have always received them, with the certificate first. */
function inOrder(members: readonly Member[]): readonly Member[] {
  return (["certificate", "key", "ca"] as const).filter((member) => members.includes(member));
}
