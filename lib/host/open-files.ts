import { readFileSync } from "node:fs";

/** For all that a run holds open beside what it works on: connections, pipes of a hook, files of the runtime. */
const reserved = 96;
/** What every system grants. */
const usual = 1024;

/**
 * How many things a run may work on at one time, so that it keeps no more files open than the system lets it.
 *
 * @param each how many files one of them takes
 * @returns one at least
 * @see https://man7.org/linux/man-pages/man2/getrlimit.2.html
 */
export function roomFor(each: number): number {
  return Math.max(1, Math.floor((limit() - reserved) / each));
}

function limit(): number {
  try {
    const [, soft] =
      /^Max open files +(\d+|unlimited)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
    return soft === "unlimited" ? Number.MAX_SAFE_INTEGER : Number(soft ?? usual);
  } catch {
    return usual; // another kernel
  }
}
