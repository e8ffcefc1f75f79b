import type { Stats } from "node:fs";

/** Whether what is ours in a folder stays as it is: it is ours alone, or one in which each may replace only his own. */
export function isLasting(stats: Stats): boolean {
  return isOurs(stats) || (isTrusted(stats.uid) && (stats.mode & 0o1000) !== 0);
}

/** Whether nobody else may change it. */
export function isOurs({ uid, mode }: Stats): boolean {
  return isTrusted(uid) && (mode & 0o022) === 0;
}

/** Root, and whoever runs. */
export function isTrusted(uid: number): boolean {
  return uid === 0 || uid === process.geteuid?.();
}

/** Whether nobody but its owner can get into a folder. */
export function isClosed({ mode }: Stats): boolean {
  return (mode & 0o077) === 0;
}
