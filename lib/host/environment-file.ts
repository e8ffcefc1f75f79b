import { Failure } from "../failure.ts";
import { printable } from "./file-error.ts";
import { readOurFile } from "./read-file.ts";

const maxBytes = 64 * 1024;

/**
 * Reads a file of variables like systemd's `EnvironmentFile=`. Nothing in it is executed.
 *
 * @returns undefined when the file is missing
 * @throws Failure (config) when others can write the file or it is not text; otherwise as `readOurFile`
 */
export function readEnvironmentFile(path: string): ReadonlyMap<string, string> | undefined {
  try {
    const file = readOurFile(
      path,
      maxBytes,
      "with write access, others could have the token sent to their own server",
    );
    if (file === undefined) return undefined;
    if (!/[\0\ufffd]/.test(file.text)) return parseEnvironment(file.text);
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== "data") throw error;
    throw new Failure("config", error.message, { hint: error.hint, cause: error.cause });
  }
  throw new Failure("config", `${printable(path)} is not UTF-8`);
}

/**
 * Parses variables by systemd's rules:
 * - Each line is `NAME=value`. The last line for a name counts.
 * - `#` and `;` begin a comment at the start of a line.
 * - Quotes work only at the start of a value, and single quotes have no escapes.
 * - A backslash at the end of a line joins it with the next.
 * - Other lines are ignored. `export A=b` is one of them.
 *
 * @see https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#EnvironmentFile=
 */
export function parseEnvironment(text: string): ReadonlyMap<string, string> {
  const take = taker(text);
  const found = new Map<string, string>();
  for (;;) {
    take(/[ \t\r\n]+/y);
    if (take(/[#;][^\r\n]*/y) !== undefined) continue;
    const [name] = take(/[^\r\n][^=\r\n]*/y) ?? [];
    if (name === undefined) return found;
    if (take(/=/y) === undefined) continue;
    const value = takeValue(take);
    if (/^[A-Za-z_]\w*\s*$/.test(name)) found.set(name.trimEnd(), value);
  }
}

type Taker = (pattern: RegExp) => RegExpExecArray | undefined;

/** Returns a function that takes the next match of a sticky pattern. Without a match it returns undefined. */
function taker(text: string): Taker {
  let at = 0;
  return (pattern) => {
    pattern.lastIndex = at;
    const match = pattern.exec(text) ?? undefined;
    at += match?.[0].length ?? 0;
    return match;
  };
}

/** Takes any quoted parts, then the unquoted rest of the line. */
function takeValue(take: Taker): string {
  for (let value = ""; ; ) {
    take(/[ \t]+/y);
    // A quote that is never closed extends to the end of the file.
    const single = take(/'([^']*)(?:'|$)/y);
    const double = single ?? take(/"((?:\\[\s\S]|[^"\\])*)\\?(?:"|$)/y);
    if (double === undefined) return value + unquoted(take(/(?:\\[\s\S]|[^\r\n\\])*\\?/y)?.[0] ?? "");
    value += single?.[1] ?? unescaped(double[1] ?? "");
  }
}

/** In double quotes, a backslash escapes only these characters and line feeds. Elsewhere it is kept. */
function unescaped(quoted: string): string {
  return quoted.replace(/\\(?:([\\"`$])|\n)/g, "$1");
}

/** Drops trailing white space, except after a backslash. */
function unquoted(text: string): string {
  const parts = text.match(/\\[\s\S]?|[^\\]/g) ?? [];
  const end = parts.findLastIndex((part) => !/^[ \t]$/.test(part)) + 1;
  return parts
    .slice(0, end)
    .map((part) => part.replace(/^\\[\r\n]?/, ""))
    .join("");
}
