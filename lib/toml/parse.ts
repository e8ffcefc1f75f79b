import { Failure } from "../failure.ts";
import { printable } from "../host/file-error.ts";

/** @throws Failure (config) that names file and line where it is not TOML */
export function parseToml(text: string, file: string): Readonly<Record<string, unknown>> {
  try {
    return { ...Bun.TOML.parse(text) };
  } catch (error) {
    const words = error instanceof Error ? error.message.replace(/^TOML Parse error: /, "") : String(error);
    throw new Failure("config", `${printable(file)}:${brokenLine(text)}: it is not TOML: ${words}`);
  }
}

/** The runtime's parser tells no line: the broken statement begins after the longest part that it takes. */
function brokenLine(text: string): number {
  const ends = [...text.matchAll(/\n/g)].map(({ index }) => index + 1);
  for (const [i, end] of [...ends.entries()].reverse()) {
    try {
      Bun.TOML.parse(text.slice(0, end));
      return i + 2;
    } catch {
      // shorter, then
    }
  }
  return 1;
}

/** One table of a list of tables: `[[name]]`, counted from 0. */
export interface Within {
  readonly table: string;
  readonly index: number;
}

/**
 * `/etc/vault/certs.d/etcd.toml:3: destination`; for one that is missing the first line, of its table or of the file.
 */
export function placeOf(field: string, text: string, file: string, within?: Within): string {
  const lines = text.split("\n").map(readLine);
  return `${printable(file)}:${(within ? lineWithin(lines, field, within) : lineOf(lines, field)) + 1}: ${printable(field)}`;
}

interface Line {
  /** What it names; undefined where it is the rest of a value, a comment, or empty. */
  readonly key: string | undefined;
  /** `[key]` or `[[key]]`: what follows belongs to it. */
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
  // The rest of a list can look like a header.
  return found.find(isTop) ?? found[0] ?? 0;
}

function lineWithin(lines: readonly Line[], field: string, { table, index }: Within): number {
  const headers = lines.flatMap(({ key, isHeader }, i) => (isHeader && key === table ? [i] : []));
  const start = headers[index];
  // Tables in the brackets of a list have no header: their line is the list's.
  if (start === undefined) return lineOf(lines, table);
  const length = lines.slice(start + 1).findIndex(({ isHeader }) => isHeader);
  const own = lines.slice(start + 1, length === -1 ? undefined : start + 1 + length);
  const found = own.findIndex(({ key }) => key === field);
  return found === -1 ? start : start + 1 + found;
}
