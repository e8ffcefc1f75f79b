import { Failure } from "../failure.ts";

/** A weekly time window, in the host's time zone. */
export interface Window {
  /** 0 is Sunday. */
  readonly days: readonly number[];
  readonly startMinute: number;
  /** More than 24 hours if the window ends after midnight. */
  readonly endMinute: number;
}

const dayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const dayMinutes = 24 * 60;

/**
 * Reads a window: `Sun 02:00-04:00`, `Mon..Fri 22:00-06:00`, `Sat,Sun 00:00-24:00`, or `02:00-04:00` for every day. An
 * end before the start means the next day.
 *
 * @throws Failure (config) for any other format, and for a window that never opens
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
      hint: "its end has to differ from its start; 00:00-24:00 is the whole day",
    });
  }
  return { days, startMinute: start, endMinute: end < start ? end + dayMinutes : end };
}

function minute(hours: string | undefined, minutes: string | undefined): number | undefined {
  const [h, m] = [Number(hours), Number(minutes)];
  return h * 60 + m <= dayMinutes && m < 60 ? h * 60 + m : undefined;
}

/** The days as numbers; undefined when one is not a day. */
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

/** Whether one of the windows is open. Without any windows, it is always true. */
export function isOpen(windows: readonly Window[], at: Date): boolean {
  if (windows.length === 0) return true;
  const now = at.getHours() * 60 + at.getMinutes();
  const today = at.getDay();
  return windows.some(
    ({ days, startMinute, endMinute }) =>
      (days.includes(today) && now >= startMinute && now < endMinute) ||
      // Opened yesterday, and still open after midnight.
      (days.includes((today + 6) % 7) && now + dayMinutes < endMinute),
  );
}

/**
 * The first minute after `at` in which one of the windows is open. Checks every minute in local time, because a change
 * to or from summer time leaves out an hour or repeats one.
 */
export function nextOpening(windows: readonly Window[], at: Date): Date {
  const minuteMs = 60_000;
  let next = Math.floor(at.getTime() / minuteMs) * minuteMs + minuteMs;
  // If the clock skips the window this week, it opens next week.
  const last = next + 15 * dayMinutes * minuteMs;
  while (next < last && !isOpen(windows, new Date(next))) next += minuteMs;
  return new Date(next);
}
