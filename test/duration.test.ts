import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { durationText, formatDuration, parseDuration } from "../lib/duration.ts";
import { failureOf } from "./support/failure.ts";

describe("parseDuration()", () => {
  test.each([
    ["0", 0],
    ["0s", 0],
    ["90s", 90],
    ["5m", 300],
    ["12h", 43_200],
    ["30d", 2_592_000],
    ["20y", 630_720_000],
    ["175200h", 630_720_000],
    ["1h30m", 5_400],
    ["1y2d3h4m5s", 31_719_845],
    ["1.5h", 5_400],
    ["250ms", 0.25],
    ["1m250ms", 60.25],
    ["7us", 0.000_007],
    ["7µs", 0.000_007],
    ["9ns", 0.000_000_009],
  ])("reads %s as %d s", (text, seconds) => {
    expect(parseDuration(text)).toBeCloseTo(seconds, 12);
  });

  test.each([
    ["nothing", ""],
    ["no unit", "90"],
    ["a unit alone", "h"],
    ["a minus", "-1h"],
    ["a plus", "+1h"],
    ["a minus within", "1h-5m"],
    ["a space within", "1h 30m"],
    ["a space before", " 1h"],
    ["a line feed after", "1h\n"],
    ["a capital", "1H"],
    ["a number without unit after one with", "1h30"],
    ["an exponent", "1e3s"],
    ["a comma", "1,5h"],
    ["two points", "1.2.3h"],
    ["a unit that is none", "3w"],
    ["more than a whole number holds", "9007199254740992s"],
    ["more years than that", "999999999999y"],
    ["more digits than any number has", `${"9".repeat(400)}s`],
    ["NaN", "NaN"],
    ["Infinity", "Infinitys"],
    ["digits of another script", "١h"],
  ])("refuses %s", async (_what, text) => {
    const failure = await failureOf(() => parseDuration(text));
    expect(failure.kind).toBe("usage");
    expect(failure.message).toBe(`${JSON.stringify(text)} is not a duration`);
    expect(failure.hint).toContain("1h30m");
  });

  test("adds its parts", () => {
    const whole = fc.nat(100_000);
    fc.assert(
      fc.property(whole, whole, whole, whole, whole, (years, days, hours, minutes, seconds) => {
        const text = `${years}y${days}d${hours}h${minutes}m${seconds}s`;
        const sum = (((years * 365 + days) * 24 + hours) * 60 + minutes) * 60 + seconds;
        expect(parseDuration(text)).toBe(sum);
      }),
    );
  });

  test("returns a safe number or throws a Failure", () => {
    const piece = fc.constantFrom("1", "9", "0", ".", "-", " ", "s", "m", "h", "d", "y", "ns", "µs", "e");
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece).map((all) => all.join("")),
        ),
        (text) => {
          let seconds: number;
          try {
            seconds = parseDuration(text);
          } catch (error) {
            expect(error).toHaveProperty("kind", "usage");
            return;
          }
          expect(seconds).toBeGreaterThanOrEqual(0);
          expect(seconds).toBeLessThanOrEqual(Number.MAX_SAFE_INTEGER);
          expect(text).toMatch(/^[0-9.a-zµ]+$/);
        },
      ),
    );
  });
});

describe("formatDuration()", () => {
  test.each([
    [0, "0s"],
    [0.9, "0s"],
    [-5, "0s"],
    [40, "40s"],
    [60, "1m"],
    [3_601, "1h"],
    [7_500, "2h 5m"],
    [2_592_000, "30d"],
    [31_535_999, "364d 23h"],
    [31_536_003, "1y"],
    [157_679_999, "4y 364d"],
    [630_720_000, "20y"],
  ])("writes %d as %s", (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
  });

  test("never rounds up, and rounds down by less than its smaller unit", () => {
    const unit: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400, y: 31_536_000 };
    fc.assert(
      fc.property(fc.nat(2_000_000_000), (seconds) => {
        const words = formatDuration(seconds).split(" ");
        expect(words.length).toBeLessThanOrEqual(2);
        const said = parseDuration(words.join(""));
        // "1y" may stand for a year and an hour, since units after a zero are left out.
        const smallest =
          words.length === 2 ? unit[words[1]?.slice(-1) ?? ""] : unit[words[0]?.slice(-1) ?? ""];
        expect(said).toBeLessThanOrEqual(seconds);
        expect(seconds - said).toBeLessThan(smallest ?? 0);
      }),
    );
  });
});

describe("durationText()", () => {
  test.each([
    [630_720_000, "20y"],
    [2_592_000, "30d"],
    [630_000, "175h"],
    [90, "90s"],
    [120, "2m"],
    [60.25, "60.25s"],
    [0, "0s"],
  ])("writes %d s as %s", (seconds, text) => {
    expect(durationText(seconds)).toBe(text);
  });

  test("is read back as the same duration", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10_000_000_000 }), (seconds) => {
        expect(parseDuration(durationText(seconds))).toBe(seconds);
      }),
    );
  });
});
