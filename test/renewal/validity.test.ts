import { describe, expect, test } from "bun:test";
import { ageOf } from "../../lib/renewal/decide.ts";
import { correctedClocks, validityOf } from "../../lib/renewal/validity.ts";
import { callPolicy, nextCaCheck } from "../../lib/renewal/when-due.ts";
import type { Clocks } from "../../lib/vault/clocks.ts";

const day = 86_400_000;
const begin = Date.UTC(2026, 10, 1);
/** So many days after the certificate began. */
const at = (days: number) => new Date(begin + days * day);
const clocks = (host: number, server = host): Clocks => ({ host: at(host), server: at(server) });
const certificate = { notBefore: at(0), notAfter: at(30) };

const late = "less than a third of its lifetime is left";
const never = 365 * 40;

describe("ageOf() of a certificate of 30 days, with the host's clock and the server's at day", () => {
  const rows: ReadonlyArray<readonly [host: number, server: number, isValid: boolean, ...reasons: string[]]> =
    [
      [1, 1, true],
      [19.9, 19.9, true],
      [20, 20, true, late],
      [20, 1, true, late],
      [1, 20, true, late],
      [29.9, 9, true, late],
      // A proxy is twenty days slow, and the certificate expired yesterday.
      [31, 11, true, "it has expired by this host's clock"],
      [11, 31, true, "it has expired by the server's clock"],
      [31, 31, false, "it has expired"],
      [400, 31, false, "it has expired"],
      // A host's clock that stopped, or that was never set.
      [-365, 1, true],
      [-365, 25, true, late],
      [-never, 1, true],
      [1, -365, true],
      [25, -365, true, late],
      [-1, -1, false, "it is not valid yet"],
      [-365, -1, false, "it is not valid yet"],
      [-1, 31, false, "it is valid by no clock"],
      // A minute is none.
      [-0.0005, -0.0005, true],
      [-0.001, -0.001, false, "it is not valid yet"],
    ];
  const whole = rows.map(([host, server, isValid, ...reasons]) => [host, server, isValid, reasons] as const);
  test.each(whole)("%p and %p: valid %p, %p", (host, server, isValid, reasons) => {
    const found = ageOf(certificate, callPolicy("never"), clocks(host, server));
    expect([found.isValid, found.reasons]).toEqual([isValid, reasons]);
  });
});

describe("ageOf() corrects clocks by what they showed at the issue, so that nothing is issued again", () => {
  type Row = readonly [name: string, issued: Clocks, now: Clocks, ...reasons: string[]];
  const rows: readonly Row[] = [
    ["while a host's clock is a year ahead", clocks(365, 0), clocks(366, 1)],
    ["until it is due by what has passed", clocks(365, 0), clocks(365 + 21, 1), late],
    ["until it is due by the other clock", clocks(365, 0), clocks(366, 21), late],
    ["while a proxy's is a year ahead", clocks(0, 365), clocks(1, 366)],
    // Dates are in whole seconds, and come late.
    ["where the next run follows at once", clocks(0, 365), clocks(0, 364.9999)],
    ["while it is ahead by 25 days", clocks(0, 25), clocks(0.1, 25.1)],
    ["but does once it is due by a clock that was set since", clocks(365, 0), clocks(21, 1), late],
    ["but does where both showed it: its lifetime was nearly over", clocks(25, 25), clocks(25, 25), late],
    ["but does by a clock that was right at the issue", clocks(0, 0), clocks(1, 25), late],
  ];
  const whole = rows.map(([name, issued, now, ...reasons]) => [name, issued, now, reasons] as const);
  test.each(whole)("%s", (_, issued, now, reasons) => {
    const found = ageOf(certificate, callPolicy("never"), now, issued);
    expect([found.isValid, found.reasons]).toEqual([true, reasons]);
  });

  test("and sets a clock back by how far it was ahead", () => {
    const issued = clocks(365, 0);
    expect(correctedClocks({ notBefore: at(0), dueAt: at(20) }, issued, clocks(370, 5))).toEqual(clocks(5));
  });
});

describe("validityOf()", () => {
  test.each([
    [clocks(1), "valid"],
    [clocks(-1, 1), "valid"],
    [clocks(31, 1), "valid"],
    [clocks(30), "ended"],
    [clocks(-2), "not yet"],
    [clocks(-2, 31), "neither"],
    [clocks(31, -2), "neither"],
  ] as const)("of %j is %p", (now, validity) => {
    expect(validityOf(certificate, now)).toBe(validity);
  });
});

describe("nextCaCheck() is an hour before a week has passed since the last check, and", () => {
  const week = 7 - 1 / 24;

  test.each([
    ["is not due yet", 6.9, week],
    ["is past", 7.1, week],
    // Set by a clock that was ahead, by a day or by a century.
    ["is due now if the last one lies a day ahead", -1, -1],
    ["is due now if the last one lies a century ahead", -36_500, -36_500],
  ])("%s", (_, now, looks) => {
    expect(nextCaCheck(callPolicy("weekly"), at(0), at(now))).toEqual(at(looks));
  });

  test("is due now if the time of the last one is invalid", () => {
    expect(nextCaCheck(callPolicy("weekly"), new Date(Number.NaN), at(1))).toEqual(at(1));
  });

  test("does not take a check less than a minute ahead for one in the future", () => {
    const checkedAt = new Date(at(0).getTime() + 60_000);
    expect(nextCaCheck(callPolicy("weekly"), checkedAt, at(0))).toEqual(
      new Date(at(week).getTime() + 60_000),
    );
    const later = new Date(checkedAt.getTime() + 1);
    expect(nextCaCheck(callPolicy("weekly"), later, at(0))).toEqual(at(0));
  });
});
