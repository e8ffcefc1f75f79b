import { Failure } from "../failure.ts";

/** Modes that a private key may have: read by its group at most, and written by nobody but its owner. */
export const keyModes: readonly string[] = ["0600", "0640", "0400", "0440"];

export const defaultKeyMode = 0o600;
/** What a group gets by it. */
export const groupReads = 0o040;

/**
 * A mode as people write it, in octal.
 *
 * @throws Failure (usage) for one that others could read or write a key with
 */
export function parseKeyMode(text: string): number {
  const mode = readKeyMode(text.padStart(4, "0"));
  if (mode !== undefined) return mode;
  throw new Failure("usage", `${JSON.stringify(text)} can't be the mode of a key`, {
    hint: `choose one of ${keyModes.join(", ")}: others never read a key, and its group only reads it`,
  });
}

/** Undefined for what is none. */
export function readKeyMode(value: unknown): number | undefined {
  return typeof value === "string" && keyModes.includes(value) ? Number.parseInt(value, 8) : undefined;
}

/** `0640` */
export function keyModeText(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}
