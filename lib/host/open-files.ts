import { readFileSync } from "node:fs";

/** Descriptors for everything else that a run keeps open: connections, pipes of hooks, files of the runtime. */
const reserved = 96;
/** The usual limit. */
const usualLimit = 1024;

/**
 * How many things a run may work on at the same time, by the system's limit on open files.
 *
 * @param each how many files each of them keeps open
 * @returns at least one
 * @see https://man7.org/linux/man-pages/man2/getrlimit.2.html
 */
export function roomFor(each: number): number {
  return Math.max(1, Math.floor((limit() - reserved) / each));
}

function limit(): number {
  try {
    const [, soft] =
      /^Max open files +(\d+|unlimited)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
    return soft === "unlimited" ? Number.MAX_SAFE_INTEGER : Number(soft ?? usualLimit);
  } catch {
    return usualLimit; // another kernel
  }
}
