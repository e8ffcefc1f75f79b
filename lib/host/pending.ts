import { rmSync, statSync } from "node:fs";
import { ExitCode } from "../failure.ts";
import { findPlace } from "./certificate-place.ts";
import { randomHex, removeTemporaries, replaceFile, syncFolder } from "./durable.ts";
import { fileError } from "./file-error.ts";
import type { Folder, Folders } from "./folder.ts";
import { type LockOptions, takeLock } from "./lock.ts";
import { readSmallFile } from "./read-file.ts";

/** What has changed at a destination, and who has acted on it so far. */
export interface Pending {
  /** Another for each change: what was done for one is not done for the next. */
  readonly id: string;
  /** `certificate`, `key`, `ca` */
  readonly changed: readonly string[];
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
 * @throws Failure (can't write) where the folder is not ours
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
export function addPending(set: Folder, changed: readonly string[]): void {
  if (changed.length === 0) return;
  removeTemporaries(`${set.path}/${pendingName}`);
  write(set, { id: randomHex(8), changed: [...new Set([...read(set).changed, ...changed])], done: [] });
}

/**
 * Keeps other runs from acting on the same change meanwhile.
 *
 * @returns undefined where nothing was ever issued
 * @throws Failure (try later) when another run holds it for too long; (can't write)
 */
export async function lockHooks(destination: string, options: LockOptions): Promise<Disposable | undefined> {
  using place = findPlace(destination);
  const set = place?.set;
  return set === undefined
    ? undefined
    : await takeLock(`${set.path}/hooks-lock`, options, `${set.name}/hooks-lock`);
}

/**
 * Notes which hooks have succeeded; undefined when all have, and nothing is pending any more. Does nothing when
 * another run has changed the certificate again meanwhile.
 *
 * @throws Failure (try later) when another run changes it for too long; (can't write)
 */
export async function settlePending(
  destination: string,
  pending: Pending,
  done: readonly string[] | undefined,
  options: LockOptions,
): Promise<void> {
  using place = findPlace(destination);
  const set = place?.set;
  if (set === undefined) return;
  // The lock of those who change the certificate: what one of them notes just now is not to be removed.
  using _ = await takeLock(`${set.path}/lock`, options, `${set.name}/lock`);
  if (read(set).id !== pending.id) return;
  try {
    if (done === undefined) {
      rmSync(`${set.path}/${pendingName}`, { force: true });
      syncFolder(set.path);
    } else {
      write(set, { ...pending, done });
    }
  } catch (error) {
    throw fileError(ExitCode.cantCreate, "write", `${set.name}/${pendingName}`, error);
  }
}

function write(set: Folder, pending: Pending): void {
  replaceFile(`${set.path}/${pendingName}`, `${JSON.stringify(pending)}\n`, { mode: 0o644 });
}

/** Only root writes there; what it can't read any more is pending whole. */
function read(set: Folder): Pending {
  const file = readSmallFile(`${set.path}/${pendingName}`, maxBytes, `${set.name}/${pendingName}`);
  if (file === undefined) return nothing;
  try {
    const { id, changed, done } = JSON.parse(file.text);
    if (typeof id === "string" && Array.isArray(changed) && Array.isArray(done)) {
      return { id, changed: changed.map(String), done: done.map(String) };
    }
  } catch {
    // as below
  }
  return { id: "", changed: ["certificate", "key", "ca"], done: [] };
}
