import { Failure } from "../failure.ts";

/** A time of the week in which something may be done, by the host's clock and zone. */
export interface Window {
  /** 0 is Sunday. */
  readonly days: readonly number[];
  readonly startMinute: number;
  /** May be past midnight: more than 24 hours then. */
  readonly endMinute: number;
}

const dayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const dayMinutes = 24 * 60;

/**
 * Reads `Sun 02:00-04:00`, `Mon..Fri 22:00-06:00`, `Sat,Sun 00:00-24:00` or, for each day, `02:00-04:00`. An end before
 * the start is on the next day.
 *
 * @throws Failure (config) for anything else, and for a window that never opens
 */
export function parseWindow(text: string): Window {
  const match = /^(?:([a-z.,]+) +)?(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})$/i.exec(text.trim());
  const days = match === null ? undefined : parseDays(match[1]);
  const [start, end] = [minute(match?.[2], match?.[3]), minute(match?.[4], match?.[5])];
  if (days === undefined || start === undefined || end === undefined || start === dayMinutes) {
    throw new Failure("config", `${JSON.stringify(text)} is not a window of time`, {
      hint: 'write one like "Sun 02:00-04:00", "Mon..Fri 22:00-06:00" or "02:00-04:00"',
    });
  }
  if (start === end) {
    throw new Failure("config", `the window ${JSON.stringify(text)} never opens`, {
      hint: "give it an end other than its start; 00:00-24:00 is the whole day",
    });
  }
  return { days, startMinute: start, endMinute: end < start ? end + dayMinutes : end };
}

function minute(hours: string | undefined, minutes: string | undefined): number | undefined {
  const [h, m] = [Number(hours), Number(minutes)];
  return h * 60 + m <= dayMinutes && m < 60 ? h * 60 + m : undefined;
}

/** Undefined for a day that there is not. */
function parseDays(text: string | undefined): number[] | undefined {
  if (text === undefined) return [0, 1, 2, 3, 4, 5, 6];
  const days: number[] = [];
  for (const part of text.toLowerCase().split(",")) {
    const [first, last = first, surplus] = part.split("..").map((name) => dayNames.indexOf(name.slice(0, 3)));
    const known = part
      .split("..")
      .every((name) => /^(sun|mon|tues?|wed(nes)?|thu(rs)?|fri|sat(ur)?)(day)?$/.test(name));
    if (!known || first === undefined || last === undefined || surplus !== undefined) return undefined;
    for (let day = first; ; day = (day + 1) % 7) {
      days.push(day);
      if (day === last) break;
    }
  }
  return days;
}

/** Whether one of the windows is open; without any it always is. */
export function isOpen(windows: readonly Window[], at: Date): boolean {
  if (windows.length === 0) return true;
  const now = at.getHours() * 60 + at.getMinutes();
  const today = at.getDay();
  return windows.some(
    ({ days, startMinute, endMinute }) =>
      (days.includes(today) && now >= startMinute && now < endMinute) ||
      // Opened yesterday, and past midnight still.
      (days.includes((today + 6) % 7) && now + dayMinutes < endMinute),
  );
}

/**
 * The first minute after `at` in which one of the windows is open. Looks at each by the clock on the wall: where that is
 * put forward or back, a time of the day is left out or comes twice.
 */
export function nextOpening(windows: readonly Window[], at: Date): Date {
  const minuteMs = 60_000;
  let next = Math.floor(at.getTime() / minuteMs) * minuteMs + minuteMs;
  // One that the clock leaves out this week is open in the next.
  const last = next + 15 * dayMinutes * minuteMs;
  while (next < last && !isOpen(windows, new Date(next))) next += minuteMs;
  return new Date(next);
}
