import { dirname } from "node:path";
import type { Call } from "./strace.ts";

/** What is safely on the disk for one name. */
interface Entry {
  /** Everything written to it was synced. */
  contentSafe: boolean;
  /** Its folder was synced after the name was made. */
  nameSafe: boolean;
  /** For a link: the path that it leads to. */
  target?: string;
}

/**
 * Replays a trace on a disk that keeps only synced data. Returns each moment at which a power cut would lose data that
 * readers rely on: when a name is replaced or a file removed before its replacement is safe.
 *
 * The rules: a file's content is safe after fsync of the file. A name that was made, renamed or removed is safe after
 * fsync of its folder. Anything else may or may not survive, so nothing may depend on it.
 *
 * @param relied paths that may be removed only when another path is safe, with that other path
 * @see https://man7.org/linux/man-pages/man2/fsync.2.html
 */
export function lostByPowerCut(calls: readonly Call[], relied: ReadonlyMap<string, string>): string[] {
  const entries = new Map<string, Entry>();
  const lost: string[] = [];
  const isSafe = (path: string): boolean => {
    const entry = entries.get(path);
    return entry === undefined || (entry.contentSafe && entry.nameSafe);
  };
  for (const { name, path, target, line, failed } of calls) {
    if (failed || path === undefined) continue;
    if (name === "openat" && line.includes("O_CREAT"))
      entries.set(path, { contentSafe: true, nameSafe: false });
    if (name === "mkdir") entries.set(path, { contentSafe: true, nameSafe: false });
    if (name === "symlink") {
      const content = /symlink\("([^"]*)"/.exec(line)?.[1] ?? "";
      entries.set(path, { contentSafe: true, nameSafe: false, target: `${dirname(path)}/${content}` });
    }
    if (name === "write" || name === "pwrite64") mark(entries, path, { contentSafe: false });
    if (name === "fsync") {
      mark(entries, path, { contentSafe: true });
      for (const [inside, entry] of entries) if (dirname(inside) === path) entry.nameSafe = true;
    }
    if (name === "rename" && target !== undefined) {
      const entry = entries.get(path);
      if (entry !== undefined && !entry.contentSafe)
        lost.push(`${target}: renamed before its content was synced`);
      const leads = entry?.target;
      if (leads !== undefined) {
        for (const inside of entries.keys()) {
          const isOnTheWay = `${inside}/`.startsWith(`${leads}/`) || leads.startsWith(`${inside}/`);
          if (isOnTheWay && !isSafe(inside)) lost.push(`${target}: switched before ${inside} was synced`);
        }
      }
      entries.delete(path);
      entries.set(target, {
        contentSafe: entry?.contentSafe ?? true,
        nameSafe: false,
        ...(leads === undefined ? {} : { target: leads }),
      });
    }
    if (name === "unlink") {
      const heir = relied.get(path);
      if (heir !== undefined && !(entries.has(heir) && isSafe(heir)))
        lost.push(`${path}: removed before ${heir} was synced`);
      entries.delete(path);
    }
  }
  for (const [path, entry] of entries) {
    // The lock has no content, and is made again if it is lost.
    if (!path.endsWith("lock") && !(entry.contentSafe && entry.nameSafe))
      lost.push(`${path}: not synced at the end`);
  }
  return lost;
}

function mark(entries: Map<string, Entry>, path: string, safe: Partial<Entry>): void {
  const entry = entries.get(path);
  if (entry !== undefined) Object.assign(entry, safe);
}

/** Every file that the trace makes, with its mode. */
export function creationModes(calls: readonly Call[]): ReadonlyArray<readonly [path: string, mode: number]> {
  return calls.flatMap(({ name, path, line, failed }) => {
    if (failed || path === undefined) return [];
    const mode = /(?:O_CREAT[^,]*|^\d+ +mkdir\("[^"]*"), (0\d+)\)/.exec(line)?.[1];
    return mode === undefined || !["openat", "mkdir"].includes(name)
      ? []
      : [[path, Number.parseInt(mode, 8)] as const];
  });
}
