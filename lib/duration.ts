import { Failure } from "./failure.ts";

const unitSeconds: Readonly<Record<string, number>> = {
  ns: 1e-9,
  us: 1e-6,
  µs: 1e-6,
  ms: 1e-3,
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  y: 365 * 86_400,
};

const part = /(\d+(?:\.\d+)?)(ns|us|µs|ms|[smhdy])/y;

/**
 * Reads a Go duration (`1h30m`, `175200h`), with `d` (24 h) and `y` (365 d) added.
 *
 * @returns seconds: zero or more, not always a whole number
 * @throws Failure (usage) when a unit is missing, for signs and other characters, and for more than
 *   Number.MAX_SAFE_INTEGER seconds
 * @see https://pkg.go.dev/time#ParseDuration
 */
export function parseDuration(text: string): number {
  let seconds = 0;
  part.lastIndex = 0;
  let end = 0;
  for (let match = part.exec(text); match !== null; match = part.exec(text)) {
    seconds += Number(match[1]) * (unitSeconds[match[2] ?? ""] ?? Number.NaN);
    end = part.lastIndex;
  }
  if (text === "0") return 0;
  if (end === 0 || end !== text.length || !Number.isSafeInteger(Math.ceil(seconds))) {
    throw new Failure("usage", `${JSON.stringify(text)} is not a duration`, {
      hint: "write a number with its unit, like 90s, 12h, 30d, 20y or 1h30m",
    });
  }
  return seconds;
}

/** A duration for people, in its two largest units: `4y 364d`, `30d`, `2h 5m`, `40s`. */
export function formatDuration(seconds: number): string {
  let rest = Math.max(0, Math.floor(seconds));
  const words: string[] = [];
  for (const unit of ["y", "d", "h", "m", "s"]) {
    const size = unitSeconds[unit] ?? 1;
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) words.push(`${count}${unit}`);
    // Stop at a zero between two units: "1y" is clearer than "1y 3s".
    else if (words.length > 0) break;
    if (words.length === 2) break;
  }
  return words.join(" ") || "0s";
}

/** A duration in whole seconds as a flag accepts it, in one unit: `30d`, `175h`. */
export function durationText(seconds: number): string {
  for (const unit of ["y", "d", "h", "m"]) {
    const size = unitSeconds[unit] ?? 1;
    if (seconds !== 0 && seconds % size === 0) return `${seconds / size}${unit}`;
  }
  return `${seconds}s`;
}

/** The day of a point in time, in UTC: `2026-11-24`. */
export function formatDay(date: Date): string {
  return date.toISOString().slice(0, 10);
}

/** A point in time for people, to the minute and in UTC: `2026-11-24 10:15`. The time zone is left out. */
export function formatMinute(date: Date): string {
  return date.toISOString().slice(0, 16).replace("T", " ");
}

/**
 * The first full minute that is not before a point in time, for what can be done from then on. Written as by
 * `formatMinute`: in UTC, without the time zone.
 */
export function formatMinuteFrom(date: Date): string {
  return formatMinute(new Date(Math.ceil(date.getTime() / 60_000) * 60_000));
}
