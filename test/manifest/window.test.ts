import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isOpen, nextOpening, parseWindow } from "../../lib/manifest/window.ts";
import { failureOf } from "../support/failure.ts";
import { snippet } from "../support/snippet.ts";

describe("parseWindow()", () => {
  const everyDay = [0, 1, 2, 3, 4, 5, 6];
  test.each([
    ["Sun 02:00-04:00", [0], 120, 240],
    ["02:00-04:00", everyDay, 120, 240],
    ["  2:00-4:30 ", everyDay, 120, 270],
    ["sunday 02:00-04:00", [0], 120, 240],
    ["Mon..Fri 22:00-06:00", [1, 2, 3, 4, 5], 1320, 1800],
    ["Fri..Mon 00:00-24:00", [5, 6, 0, 1], 0, 1440],
    ["Sat,Sun 00:00-24:00", [6, 0], 0, 1440],
    ["Mon,Wed..Thu 23:59-00:00", [1, 3, 4], 1439, 1440],
    ["TUE  12:00-11:59", [2], 720, 2159],
  ])("reads %j", (text, days, startMinute, endMinute) => {
    expect(parseWindow(text)).toEqual({ days, startMinute, endMinute });
  });

  test.each([
    "",
    "Sun",
    "Sun 02:00",
    "Sun 2-4",
    "Son 02:00-04:00",
    "Sund 02:00-04:00",
    "Sun. 02:00-04:00",
    "Mon.Fri 02:00-04:00",
    "Mon..Wed..Fri 02:00-04:00",
    "Mon, 02:00-04:00",
    "Mon,Tue02:00-04:00",
    "25:00-26:00",
    "24:00-02:00",
    "02:60-04:00",
    "02:00-24:01",
    "02:00:00-04:00:00",
    "-02:00-04:00",
    "02:00-04:00 UTC",
  ])("refuses %j", async (text) => {
    const { kind, message, hint } = await failureOf(() => parseWindow(text));
    expect([kind, message]).toEqual(["config", `${JSON.stringify(text)} is not a window of time`]);
    expect(hint).toContain("write one like");
  });

  test.each(["Sun 02:00-02:00", "00:00-00:00"])("refuses %j, which never opens", async (text) => {
    const { kind, message } = await failureOf(() => parseWindow(text));
    expect([kind, message]).toEqual(["config", `the window ${JSON.stringify(text)} never opens`]);
  });
});

/** Runs in a process with that time zone: whether the window is open at each time, and when it opens next. */
function inZone(zone: string, windows: readonly string[], times: readonly string[]) {
  const code = `
    const windows = ${JSON.stringify(windows)}.map(parseWindow);
    const all = ${JSON.stringify(times)}.map((it) => new Date(it));
    console.log(JSON.stringify(all.map((at) => [isOpen(windows, at), nextOpening(windows, at)])));`;
  const command = snippet("{ isOpen, nextOpening, parseWindow }", "manifest/window.ts", code);
  const { stdout, stderr } = Bun.spawnSync(command, { env: { TZ: zone } });
  if (stderr.length > 0) throw new Error(stderr.toString());
  const found: ReadonlyArray<readonly [boolean, string]> = JSON.parse(stdout.toString());
  return found.map(([open, next]) => `${open ? "open" : "closed"}, then ${next.replace(":00.000Z", "Z")}`);
}

describe("in the host's time zone", () => {
  // 2026-11-29 is a Sunday.
  test.each([
    [
      "UTC",
      ["2026-11-29T01:59:59Z", "2026-11-29T03:59:59Z", "2026-11-29T04:00:00Z"],
      ["closed, then 2026-11-29T02:00Z", "open, then 2026-12-06T02:00Z", "closed, then 2026-12-06T02:00Z"],
    ],
    [
      "Europe/Berlin",
      ["2026-11-29T00:59:00Z", "2026-11-29T01:00:00Z", "2026-11-29T03:00:00Z"],
      ["closed, then 2026-11-29T01:00Z", "open, then 2026-11-29T01:01Z", "closed, then 2026-12-06T01:00Z"],
    ],
    [
      "America/Los_Angeles",
      ["2026-11-29T02:30:00Z", "2026-11-29T10:30:00Z"],
      ["closed, then 2026-11-29T10:00Z", "open, then 2026-11-29T10:31Z"],
    ],
    [
      "Asia/Kolkata",
      ["2026-11-28T20:29:00Z", "2026-11-28T20:30:00Z"],
      ["closed, then 2026-11-28T20:30Z", "open, then 2026-11-28T20:31Z"],
    ],
    [
      "Pacific/Kiritimati",
      ["2026-11-28T11:59:00Z", "2026-11-28T12:00:00Z"],
      ["closed, then 2026-11-28T12:00Z", "open, then 2026-11-28T12:01Z"],
    ],
  ])("Sun 02:00-04:00 in %s", (zone, times, expected) => {
    expect(inZone(zone, ["Sun 02:00-04:00"], times)).toEqual(expected);
  });

  test("a window past midnight is open on the next day, and not on later ones", () => {
    // Fri 22:00 to Sat 06:00.
    const times = [
      "2026-11-27T21:59:00Z",
      "2026-11-28T05:58:00Z",
      "2026-11-28T06:00:00Z",
      "2026-11-27T05:00:00Z",
    ];
    expect(inZone("UTC", ["Fri 22:00-06:00"], times)).toEqual([
      "closed, then 2026-11-27T22:00Z",
      "open, then 2026-11-28T05:59Z",
      "closed, then 2026-12-04T22:00Z",
      "closed, then 2026-11-27T22:00Z",
    ]);
  });

  test("the first of several windows to open counts", () => {
    expect(inZone("UTC", ["Sun 02:00-04:00", "Tue..Wed 12:00-13:00"], ["2026-11-29T04:00:00Z"])).toEqual([
      "closed, then 2026-12-01T12:00Z",
    ]);
  });

  test("an hour that the clock skips is not waited for", () => {
    // In Berlin 2026-03-29 has no time from 02:00 to 03:00, which is 01:00 in UTC.
    expect(inZone("Europe/Berlin", ["Sun 02:00-03:00"], ["2026-03-28T12:00:00Z"])).toEqual([
      "closed, then 2026-04-05T00:00Z",
    ]);
    expect(
      inZone("Europe/Berlin", ["Sun 02:30-04:00"], ["2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"]),
    ).toEqual(["closed, then 2026-03-29T01:00Z", "open, then 2026-03-29T01:01Z"]);
  });

  test("an hour that is repeated opens the window twice", () => {
    // In Berlin 2026-10-25 has 02:00 to 03:00 at 00:00 and at 01:00 in UTC.
    const times = [
      "2026-10-25T00:35:00Z",
      "2026-10-25T00:50:00Z",
      "2026-10-25T01:35:00Z",
      "2026-10-25T01:50:00Z",
    ];
    expect(inZone("Europe/Berlin", ["Sun 02:30-02:45"], times)).toEqual([
      "open, then 2026-10-25T00:36Z",
      "closed, then 2026-10-25T01:30Z",
      "open, then 2026-10-25T01:36Z",
      "closed, then 2026-11-01T01:30Z",
    ]);
  });
});

test("isOpen() is true at any time without a window", () => {
  expect(isOpen([], new Date())).toBe(true);
});

/** Any window, at any time within two years that include clock changes. */
const cases = {
  days: fc.subarray([0, 1, 2, 3, 4, 5, 6], { minLength: 1 }),
  startMinute: fc.integer({ min: 0, max: 1439 }),
  length: fc.integer({ min: 1, max: 1440 }),
  at: fc.integer({ min: Date.UTC(2026, 0, 1) / 1000, max: Date.UTC(2027, 11, 31) / 1000 }),
};

test("nextOpening() returns an open time, and the window is closed until then", () => {
  fc.assert(
    fc.property(fc.record(cases), ({ days, startMinute, length, at }) => {
      const windows = [{ days, startMinute, endMinute: startMinute + length }];
      const now = new Date(at * 1000);
      const next = nextOpening(windows, now);
      expect(next > now && isOpen(windows, next)).toBe(true);
      if (isOpen(windows, now)) return;
      // Steps wider than the code's own, and the last second before the opening.
      for (let between = next.getTime() - 1000; between > now.getTime(); between -= 7 * 60_000) {
        expect(isOpen(windows, new Date(between))).toBe(false);
      }
    }),
    { numRuns: 200 },
  );
});
