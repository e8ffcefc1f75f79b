import { Failure } from "../failure.ts";

/** The modes that a private key may have. At most its group can read it, and only its owner can write it. */
export const keyModes: readonly string[] = ["0600", "0640", "0400", "0440"];

export const defaultKeyMode = 0o600;
/** The bit that lets the group read. */
export const groupReads = 0o040;

/**
 * Reads an octal mode for a key.
 *
 * @throws Failure (usage) for a mode that is not in `keyModes`
 */
export function parseKeyMode(text: string): number {
  const mode = readKeyMode(text.padStart(4, "0"));
  if (mode !== undefined) return mode;
  throw new Failure("usage", `${JSON.stringify(text)} can't be the mode of a key`, {
    hint: `choose one of ${keyModes.join(", ")}; others can never read a key, and its group can only read it`,
  });
}

/** A mode from `keyModes` as a number; undefined for any other value. */
export function readKeyMode(value: unknown): number | undefined {
  return typeof value === "string" && keyModes.includes(value) ? Number.parseInt(value, 8) : undefined;
}

/** `0640` */
export function keyModeText(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}
