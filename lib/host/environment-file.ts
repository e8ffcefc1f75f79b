import { Failure } from "../failure.ts";
import { printable } from "./file-error.ts";
import { readOurFile } from "./read-file.ts";

const maxBytes = 64 * 1024;

/**
 * Reads a file of variables, as systemd's `EnvironmentFile=` does: nothing in it is run.
 *
 * @returns undefined where there is none
 * @throws Failure (config) when others may write it, or it is no text; else as `readOurFile`
 */
export function readEnvironmentFile(path: string): ReadonlyMap<string, string> | undefined {
  try {
    const file = readOurFile(path, maxBytes, "whoever writes it decides which server is sent the token");
    if (file === undefined) return undefined;
    if (!/[\0\ufffd]/.test(file.text)) return parseEnvironment(file.text);
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== "data") throw error;
    throw new Failure("config", error.message, { hint: error.hint, cause: error.cause });
  }
  throw new Failure("config", `${printable(path)} is not UTF-8`);
}

/**
 * Variables by systemd's rules: lines `NAME=value`, of which the last of a name counts; `#` and `;` begin a comment
 * where a name would begin; quotes only at the start of a value, single ones with no escapes; a backslash before the
 * end of a line joins it with the next. What is no assignment to a variable's name is passed over: `export A=b` is none.
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

/** Takes what a sticky pattern matches next; undefined, and nothing taken, where it does not. */
function taker(text: string): Taker {
  let at = 0;
  return (pattern) => {
    pattern.lastIndex = at;
    const match = pattern.exec(text) ?? undefined;
    at += match?.[0].length ?? 0;
    return match;
  };
}

/** Quoted parts, one after the other, then what stands unquoted to the end of its line. */
function takeValue(take: Taker): string {
  for (let value = ""; ; ) {
    take(/[ \t]+/y);
    // One that is never closed goes to the end of the file.
    const single = take(/'([^']*)(?:'|$)/y);
    const double = single ?? take(/"((?:\\[\s\S]|[^"\\])*)\\?(?:"|$)/y);
    if (double === undefined) return value + unquoted(take(/(?:\\[\s\S]|[^\r\n\\])*\\?/y)?.[0] ?? "");
    value += single?.[1] ?? unescaped(double[1] ?? "");
  }
}

/** Between double quotes a backslash before anything else stands for itself. */
function unescaped(quoted: string): string {
  return quoted.replace(/\\(?:([\\"`$])|\n)/g, "$1");
}

/** White space at the end is not the value's, unless a backslash is before it. */
function unquoted(text: string): string {
  const parts = text.match(/\\[\s\S]?|[^\\]/g) ?? [];
  const end = parts.findLastIndex((part) => !/^[ \t]$/.test(part)) + 1;
  return parts
    .slice(0, end)
    .map((part) => part.replace(/^\\[\r\n]?/, ""))
    .join("");
}
