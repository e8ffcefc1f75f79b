import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseWindow } from "../../lib/manifest/window.ts";
import { decide, isChange, nextChange } from "../../lib/renewal/decide.ts";
import type { Inspected } from "../../lib/renewal/inspect.ts";
import type { CaOnServer } from "../../lib/renewal/server-ca.ts";
import { callFraction, type RenewalPolicy, timerFraction } from "../../lib/renewal/when-due.ts";
import { type Clocks, laterClocks } from "../../lib/vault/clocks.ts";
import { asked, at, begin, clocksAt, dayMs, missing, ourKey, partialSet, wholeSet } from "./sets.ts";

interface Circumstances {
  readonly renew?: "due" | "always";
  readonly ca?: CaOnServer;
  readonly checkedAt?: Date;
  readonly clocks: Clocks;
  readonly window?: string;
}

/** In days after the certificate's beginning, by the host's clock. */
function changesOn({ renew = "due", ca = "same", checkedAt, clocks, window }: Circumstances) {
  const windows = window === undefined ? [] : [parseWindow(window)];
  const policy: RenewalPolicy = { renew, fraction: timerFraction, windows, caCheck: "weekly" };
  const set = wholeSet({ checkedAt: checkedAt ?? clocks.host });
  const moment = nextChange(set, asked, policy, clocks, ca);
  return moment && (moment.getTime() - begin) / dayMs;
}

describe("nextChange()", () => {
  const rows: ReadonlyArray<readonly [name: string, circumstances: Circumstances, day: number]> = [
    ["is when a third is left", { clocks: clocksAt(1) }, 20],
    ["is then by the clock that is ahead, in the host's time", { clocks: clocksAt(1, 6) }, 15],
    ["is not later for a server's clock that is behind", { clocks: clocksAt(6, 1) }, 20],
    ["is now for a certificate that is due", { clocks: clocksAt(25, 5) }, 25],
    [
      "is an hour before a week has passed since the last CA check",
      { ca: "other", checkedAt: at(2), clocks: clocksAt(3) },
      9 - 1 / 24,
    ],
    ["is now if that check is in the future", { ca: "other", checkedAt: at(4), clocks: clocksAt(3) }, 3],
    ["is now if it has no date", { ca: "other", checkedAt: new Date(Number.NaN), clocks: clocksAt(3) }, 3],
    ["waits for the window", { window: "Sun 00:00-01:00", clocks: clocksAt(1) }, 21],
    [
      "waits for it after a CA check",
      { window: "Sat 00:00-01:00", ca: "renewed", checkedAt: at(0), clocks: clocksAt(1) },
      13,
    ],
    [
      "waits a week after such a date, if that comes before the window opens",
      { window: "Mon 12:00-13:00", ca: "other", checkedAt: at(1), clocks: clocksAt(0.5) },
      8.5,
    ],
    ["is when a tenth is left", { window: "Sat 00:00-01:00", clocks: clocksAt(27.5) }, 27.5],
    ["is when a tenth is left by one clock", { window: "Sun 00:00-01:00", clocks: clocksAt(22, 26) }, 23],
    ["is the next window of one that is renewed at each run", { renew: "always", clocks: clocksAt(3) }, 3],
  ];
  test.each(rows)("%s", (_, circumstances, day) => {
    expect(changesOn(circumstances)).toBeCloseTo(day, 6);
  });

  test("is never for a key that must not be used", () => {
    const set = wholeSet({ keyOrigin: { ...ourKey, isWide: true } });
    const policy: RenewalPolicy = { renew: "due", fraction: timerFraction, windows: [], caCheck: "weekly" };
    expect(nextChange(set, asked, policy, clocksAt(25), "other")).toBeUndefined();
  });
});

// Any state of a destination, any policy, and clocks that may be wrong.

const days = (max: number) => fc.double({ min: -2, max, noNaN: true });
const clocks = fc.tuple(days(40), days(40)).map(([host, server]) => clocksAt(host, server));
const set: fc.Arbitrary<Inspected> = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom(missing, partialSet("ca missing")) },
  {
    weight: 9,
    arbitrary: fc
      .record({
        lifetimeDays: fc.constantFrom(2, 9, 30),
        issued: fc.option(fc.tuple(days(40), days(3)), { nil: undefined }),
        checkedAt: fc.option(days(40), { nil: undefined }),
        keyMatches: fc.constantFrom(true, true, true, false),
        isRenamed: fc.constantFrom(false, false, false, true),
        isRecorded: fc.boolean(),
        isWide: fc.constantFrom(false, false, false, true),
      })
      .map(({ issued, checkedAt, isRenamed, isWide, ...choice }) => ({
        ...wholeSet({
          ...choice,
          issued: issued && clocksAt(...issued),
          record: isRenamed ? { signPath: "demo/pki/k8s/sign/other" } : {},
          keyOrigin: { ...ourKey, isWide },
        }),
        checkedAt: checkedAt === undefined ? undefined : at(checkedAt),
      })),
  },
);
const window = fc.constantFrom("Sun 02:00-04:00", "Mon..Fri 22:00-06:00", "12:00-12:30", "Sat 00:00-24:00");
const policy: fc.Arbitrary<RenewalPolicy> = fc.record({
  renew: fc.constantFrom("due", "due", "due", "always"),
  fraction: fc.constantFrom(timerFraction, callFraction),
  windows: fc.array(window, { maxLength: 2 }).map((windows) => windows.map(parseWindow)),
  caCheck: fc.constantFrom("weekly", "weekly", "never", "now"),
});
const ca = fc.constantFrom<CaOnServer>("same", "renewed", "other", "unknown");
const parts = fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), {
  minLength: 5,
  maxLength: 20,
});

/** Beyond this every certificate of the test has expired. */
const horizonMs = 90 * dayMs;

test("the next run does as status predicts", () => {
  fc.assert(
    fc.property(set, policy, clocks, ca, parts, (set, policy, now, ca, parts) => {
      const changesAfter = (ms: number) => isChange(decide(set, asked, policy, laterClocks(now, ms), ca));
      const moment = nextChange(set, asked, policy, now, ca);
      const untilMs = moment === undefined ? horizonMs : moment.getTime() - now.host.getTime();
      expect(untilMs).toBeGreaterThanOrEqual(0);
      for (const part of parts) {
        const ms = Math.floor(untilMs * part);
        if (ms < untilMs) expect([ms, changesAfter(ms)]).toEqual([ms, false]);
      }
      if (moment !== undefined) expect(changesAfter(untilMs)).toBe(true);
    }),
    { numRuns: 3000 },
  );
});

test("the next run issues what --check lists, apart from the server's CAs", () => {
  fc.assert(
    fc.property(set, policy, clocks, (set, policy, { host }) => {
      // The clocks agree: --check asks no server, and so knows this host's clock alone.
      const now = { host, server: host };
      const offline: RenewalPolicy = policy.renew === "now" ? policy : { ...policy, caCheck: "never" };
      const listed = decide(set, asked, offline, now);
      const run = decide(set, asked, policy, now, "same");
      expect(listed.action === "issue").toBe(run.action === "issue");
      if (listed.action === "issue" && run.action === "issue") expect(listed.reasons).toEqual(run.reasons);
      expect(listed.action === "refuse").toBe(run.action === "refuse");
    }),
    { numRuns: 3000 },
  );
});
