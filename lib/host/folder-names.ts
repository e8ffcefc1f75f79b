import { readdirSync, statSync } from "node:fs";

/** Of the folder itself: tens of thousands of names, most often. */
const mostBytes = 1024 * 1024;

/**
 * The names in a folder. Its owner may have filled it: to read them all would take the memory of all that a run has to
 * do beside it, and more time than there is.
 *
 * @returns undefined where there are too many
 * @throws the system's error
 */
export function namesIn(path: string): readonly string[] | undefined {
  return statSync(path).size > mostBytes ? undefined : readdirSync(path);
}
