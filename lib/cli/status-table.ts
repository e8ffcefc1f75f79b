import { formatMinute } from "../duration.ts";
import { type State, states } from "../finding.ts";
import { visible } from "../visible.ts";
import type { Colour, Paint } from "./colour.ts";
import { ExitCode } from "./exit-code.ts";
import { tableLines } from "./table.ts";
import { wrap } from "./wrap.ts";

/** One line of the table: one thing and its state. */
export interface StatusRow {
  readonly state: State;
  readonly what: string;
  /** The lifetime left, in words. */
  readonly left?: string | undefined;
  readonly due?: string | undefined;
  /** Why it has that state. */
  readonly reasons: readonly string[];
  /** More about it, as far as there is room. */
  readonly facts: readonly string[];
  /** Seconds. Rows in the same state are sorted by this, the smallest first. */
  readonly urgency?: number | undefined;
}

/** The exit code of `status`, by the worst state found. */
export const exitCodes: Readonly<Record<State, ExitCode>> = {
  wrong: ExitCode.wrong,
  due: ExitCode.wouldChange,
  // If an unknown state is somebody's fault, that fault is a finding of its own.
  unknown: ExitCode.ok,
  ok: ExitCode.ok,
};

const colours: Readonly<Record<State, Colour>> = {
  wrong: "red",
  due: "yellow",
  unknown: "grey",
  ok: "green",
};
const heading = ["STATE", "WHAT", "LEFT", "DUE (UTC)", "ABOUT"] as const;

/** With less room than this, the last column goes on lines of its own. */
const leastRoom = 24;

/**
 * A table, the most urgent row first. Facts that would make a line longer than 100 columns or the terminal's width are
 * left out.
 *
 * @param columns width of the terminal, which the last column is wrapped to fit. @default 0, no terminal
 */
export function statusTable(rows: readonly StatusRow[], paint: Paint, columns = 0): string[] {
  const sorted = rows.toSorted(byUrgency);
  const cells = sorted.map(({ state, what, left = "", due = "" }) => [state, what, left, due].map(cell));
  const [empty = ""] = tableLines([[...heading.slice(0, -1), "|"], ...cells]);
  const room = Math.max(100, columns) - (Bun.stringWidth(empty) - 1);
  const left = tableLines([
    [...heading.slice(0, -1), "|"],
    ...sorted.map((row, i) => {
      const [state = "", ...others] = cells[i] ?? [];
      return [paint(state, colours[row.state]), ...others, "|"];
    }),
  ]).map((line) => line.slice(0, -1));
  const abouts = [heading.at(-1) ?? "", ...sorted.map((row) => cell(aboutText(row, room)))];
  const own = columns === 0 ? Number.POSITIVE_INFINITY : columns - Bun.stringWidth(left[0] ?? "");
  return left.flatMap((line, i) => beside(line, abouts[i] ?? "", own, columns)).map((line) => line.trimEnd());
}

/** Puts a text after a line if there is room, else below it. */
function beside(line: string, text: string, room: number, columns: number): string[] {
  if (Bun.stringWidth(text) <= room) return [line + text];
  if (room < leastRoom) return [line, ...wrap(text, columns - 4).map((it) => `    ${it}`)];
  const [first = "", ...rest] = wrap(text, room);
  const indent = " ".repeat(Bun.stringWidth(line));
  return [line + first, ...rest.map((it) => indent + it)];
}

/** `1 wrong, 2 due, 6 ok` */
export function countStates(rows: readonly StatusRow[]): string {
  const counts = states.flatMap((state) => {
    const count = rows.filter((row) => row.state === state).length;
    return count === 0 ? [] : [`${count} ${state}`];
  });
  return counts.join(", ");
}

/** `2026-11-24 10:15`, or `now` for a time in the past. */
export function moment(date: Date, now: Date): string {
  return date <= now ? "now" : formatMinute(date);
}

function byUrgency(a: StatusRow, b: StatusRow): number {
  const never = Number.MAX_VALUE;
  return (
    states.indexOf(a.state) - states.indexOf(b.state) ||
    (a.urgency ?? never) - (b.urgency ?? never) ||
    (a.what < b.what ? -1 : 1)
  );
}

function aboutText({ reasons, facts }: StatusRow, room: number): string {
  const why = reasons.join("; ");
  const shown: string[] = [];
  const text = (facts: readonly string[]) => [why, facts.join(", ")].filter(Boolean).join("; ");
  for (const fact of facts) {
    const isFirst = text(shown) === "";
    if (isFirst || Bun.stringWidth(text([...shown, fact])) <= room) shown.push(fact);
  }
  return text(shown);
}

/** Makes a text from others, such as a certificate's name, safe to print. A tab would shift the columns. */
export function cell(text: string): string {
  return visible(text.replaceAll("\t", " "));
}
