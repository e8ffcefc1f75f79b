import { Failure } from "../failure.ts";
import { printable } from "../host/file-error.ts";

/** @throws Failure (config) that names file and line, when the text is not TOML */
export function parseToml(text: string, file: string): Readonly<Record<string, unknown>> {
  try {
    return { ...Bun.TOML.parse(text) };
  } catch (error) {
    const words = error instanceof Error ? error.message.replace(/^TOML Parse error: /, "") : String(error);
    throw new Failure("config", `${printable(file)}:${brokenLine(text)}: it is not TOML: ${words}`);
  }
}

/**
 * The line of the first broken statement. The runtime's parser doesn't say which it is, so look for the longest start
 * of the text that is valid: the broken statement follows it.
 */
function brokenLine(text: string): number {
  const ends = [...text.matchAll(/\n/g)].map(({ index }) => index + 1);
  for (const [i, end] of [...ends.entries()].reverse()) {
    try {
      Bun.TOML.parse(text.slice(0, end));
      return i + 2;
    } catch {
      // Try a shorter part.
    }
  }
  return 1;
}

/** One table in a list of tables: the nth `[[table]]`, counted from 0. */
export interface TablePosition {
  readonly table: string;
  readonly index: number;
}

/**
 * The location of a field, for messages: `/etc/vault/certs.d/etcd.toml:3: destination`. For a missing field this is the
 * first line of its table, or of the file.
 */
export function locationOf(field: string, text: string, file: string, within?: TablePosition): string {
  const lines = text.split("\n").map(readLine);
  return `${printable(file)}:${(within ? lineWithin(lines, field, within) : lineOf(lines, field)) + 1}: ${printable(field)}`;
}

interface Line {
  /** The key or table that the line begins; undefined inside a value of several lines, and for comments and blanks. */
  readonly key: string | undefined;
  /** `[key]` or `[[key]]`, which the lines after it belong to. */
  readonly isHeader: boolean;
}

function readLine(line: string): Line {
  const [, ...keys] = /^\s*\[{0,2}\s*(?:"([^"]*)"|'([^']*)'|([\w-]+))/.exec(line) ?? [];
  return { key: keys.find((it) => it !== undefined), isHeader: /^\s*\[.*\]\s*(#.*)?$/.test(line) };
}

function lineOf(lines: readonly Line[], field: string): number {
  const firstHeader = lines.findIndex(({ isHeader }) => isHeader);
  const isTop = (i: number) => firstHeader === -1 || i < firstHeader || lines[i]?.isHeader === true;
  const found = lines.flatMap(({ key }, i) => (key === field ? [i] : []));
  // A line inside a list can look like a header, so take the first field even if it is below one.
  return found.find(isTop) ?? found[0] ?? 0;
}

function lineWithin(lines: readonly Line[], field: string, { table, index }: TablePosition): number {
  const headers = lines.flatMap(({ key, isHeader }, i) => (isHeader && key === table ? [i] : []));
  const start = headers[index];
  // Tables written inline, as in `a = [{ b = 1 }]`, have no header. Use the line of the list.
  if (start === undefined) return lineOf(lines, table);
  const length = lines.slice(start + 1).findIndex(({ isHeader }) => isHeader);
  const own = lines.slice(start + 1, length === -1 ? undefined : start + 1 + length);
  const found = own.findIndex(({ key }) => key === field);
  return found === -1 ? start : start + 1 + found;
}
