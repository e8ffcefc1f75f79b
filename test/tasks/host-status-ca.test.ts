import { describe, expect, test } from "bun:test";
import { parseWindow } from "../../lib/manifest/window.ts";
import type { Clocks } from "../../lib/tasks/clock.ts";
import { replacementTime } from "../../lib/tasks/host-status-ca.ts";
import type { CaOnServer } from "../../lib/tasks/server-ca.ts";
import { parse } from "../manifest/read.ts";

const day = 86_400_000;
// On a Sunday, in the time zone of the tests, as windows are.
const begin = new Date(2026, 10, 1).getTime();
const at = (days: number) => new Date(begin + days * day);
const certificate = { notBefore: at(0), notAfter: at(30) };

interface Circumstances {
  readonly isDue?: boolean;
  readonly ca?: CaOnServer;
  readonly checkedAt?: Date;
  readonly clocks: Clocks;
  readonly window?: string;
}

/** In days after the certificate's beginning, by the host's clock. */
function replacedOn({ isDue = false, ca = "same", checkedAt, clocks, window }: Circumstances): number {
  const manifest = { ...parse(), windows: window === undefined ? [] : [parseWindow(window)] };
  const about = { isDue, ca, checkedAt, clocks };
  return (replacementTime(manifest, certificate, about, clocks.host).getTime() - begin) / day;
}
const clocks = (host: number, server = host): Clocks => ({ host: at(host), server: at(server) });

describe("replacementTime()", () => {
  const rows: ReadonlyArray<readonly [name: string, circumstances: Circumstances, day: number]> = [
    ["is when a third is left", { clocks: clocks(1) }, 20],
    ["is that time by the clock that is ahead, told by the host's", { clocks: clocks(1, 6) }, 15],
    ["is not later for a server's clock that is behind", { clocks: clocks(6, 1) }, 20],
    ["is now for one that is due", { isDue: true, clocks: clocks(25, 5) }, 25],
    ["is a week after the last look for another CA", { ca: "other", checkedAt: at(2), clocks: clocks(3) }, 9],
    ["is now where that look is to come", { ca: "other", checkedAt: at(4), clocks: clocks(3) }, 3],
    ["is now where its time is none", { ca: "other", checkedAt: new Date(Number.NaN), clocks: clocks(3) }, 3],
    ["waits for the window", { window: "Sun 00:00-01:00", clocks: clocks(1) }, 21],
    ["is when a tenth is left", { window: "Sat 00:00-01:00", isDue: true, clocks: clocks(27.5) }, 27.5],
    [
      "is when a tenth is left by one clock",
      { window: "Sun 00:00-01:00", isDue: true, clocks: clocks(22, 26) },
      23,
    ],
  ];
  test.each(rows)("%s", (_, circumstances, day) => {
    expect(replacedOn(circumstances)).toBeCloseTo(day, 2);
  });
});
