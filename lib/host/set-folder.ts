import { Failure } from "../failure.ts";
import { printable } from "./file-error.ts";

/** The name of the folder in which the sets of a certificate are kept, beside its files. */
export function setFolderName(base: string): string {
  return `.${base}.set`;
}

/**
 * Refuses a path among such sets: what is written there goes with the set, or takes the place of its lock.
 *
 * @param name of the whole path, for people
 * @throws Failure (usage)
 */
export function refuseSets(parts: readonly string[], name: string): void {
  const part = parts.find((it) => /^\..+\.set$/.test(it));
  if (part === undefined) return;
  throw new Failure(
    "usage",
    `${printable(part)} in the path ${printable(name)} is where the files of one certificate are kept, and nothing else`,
    { hint: "nothing was changed; give a path outside of it" },
  );
}
