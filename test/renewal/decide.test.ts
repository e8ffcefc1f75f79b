import { describe, expect, test } from "bun:test";
import { parseWindow } from "../../lib/manifest/window.ts";
import { type Asked, decide, fileFaults } from "../../lib/renewal/decide.ts";
import type { Inspected } from "../../lib/renewal/inspect.ts";
import type { CaOnServer } from "../../lib/renewal/server-ca.ts";
import { type CaCheck, callPolicy, type RenewalPolicy, timerFraction } from "../../lib/renewal/when-due.ts";
import type { Clocks } from "../../lib/vault/clocks.ts";
import { asked, at, clocksAt, missing, ourKey, partialSet, wholeSet } from "./sets.ts";

/** As a manifest has it. The tests' first day, the 1st, is a Sunday. */
function daily(caCheck: CaCheck = "weekly", window?: string, renew: "due" | "always" = "due"): RenewalPolicy {
  const windows = window === undefined ? [] : [parseWindow(window)];
  return { renew, fraction: timerFraction, windows, caCheck };
}

const call: RenewalPolicy = { renew: "now", newKey: false };
const force: RenewalPolicy = { renew: "now", newKey: true };
const wide = { ...ourKey, isWide: true };
const sunday = "Sun 00:00-01:00";

interface Row {
  readonly set: Inspected;
  readonly asked?: Partial<Asked>;
  readonly policy?: RenewalPolicy;
  readonly now: Clocks;
  readonly ca?: CaOnServer;
  readonly decision: Readonly<Record<string, unknown>>;
}

const third = "less than a third of its lifetime is left";
const half = "less than half of its lifetime is left";
const rows: Readonly<Record<string, Row>> = {
  "issues if no file exists": {
    set: missing,
    now: clocksAt(1),
    decision: { action: "issue", reasons: ["there is none yet"] },
  },
  "issues if a file is missing": {
    set: partialSet("ca missing"),
    now: clocksAt(1),
    decision: { action: "issue", reasons: ["ca missing"] },
  },
  "does nothing while more than a third is left": {
    set: wholeSet(),
    now: clocksAt(6),
    decision: { action: "none", files: "right", reasons: [], dueAt: at(20) },
  },
  "issues when a third is left": {
    set: wholeSet(),
    now: clocksAt(20),
    decision: { action: "issue", reasons: [third] },
  },
  "issues a short one for a timer when half is left": {
    set: wholeSet({ lifetimeDays: 9 }),
    now: clocksAt(4.5),
    decision: { action: "issue", reasons: [half] },
  },
  "keeps a short one of a call until a third is left": {
    set: wholeSet({ lifetimeDays: 9 }),
    policy: callPolicy("never"),
    now: clocksAt(4.5),
    decision: { action: "none", dueAt: at(6) },
  },
  "issues if the server's clock alone says that it is due": {
    set: wholeSet(),
    now: clocksAt(1, 21),
    decision: { action: "issue", reasons: [third] },
  },
  "does not issue again for a clock that was ahead at the issue": {
    set: wholeSet({ issued: clocksAt(365, 0), checkedAt: at(365) }),
    now: clocksAt(366, 1),
    decision: { action: "none" },
  },
  "issues if the key is another's": {
    set: wholeSet({ keyMatches: false }),
    now: clocksAt(1),
    decision: { action: "issue", reasons: ["the key belongs to another certificate"] },
  },
  "issues for another request": {
    set: wholeSet(),
    asked: { caChain: true },
    now: clocksAt(1),
    decision: { action: "issue", reasons: ["the CA file is to hold also the CAs above the mount's"] },
  },
  "waits for the window": {
    set: wholeSet(),
    policy: daily("weekly", sunday),
    now: clocksAt(22),
    decision: { action: "wait", until: at(28), reasons: [third] },
  },
  "issues in the window": {
    set: wholeSet(),
    policy: daily("weekly", sunday),
    now: clocksAt(21),
    decision: { action: "issue", reasons: [third] },
  },
  "issues outside the window when a tenth is left": {
    set: wholeSet(),
    policy: daily("weekly", "Sat 00:00-01:00"),
    now: clocksAt(27),
    decision: { action: "issue", reasons: [third] },
  },
  "replaces a useless certificate outside its window": {
    set: wholeSet({ caMatches: false }),
    policy: daily("weekly", sunday),
    now: clocksAt(1),
    decision: { action: "issue", reasons: ["the CA file's CA did not sign it"] },
  },
  "goes by the host's own clock for windows, right or wrong": {
    set: wholeSet({ issued: clocksAt(1000, 0), checkedAt: at(1000) }),
    policy: daily("weekly", "Sat 00:00-01:00"),
    // The host's clock is 1000 days ahead: it shows a Saturday, and the server's a Sunday.
    now: clocksAt(1021, 21),
    decision: { action: "issue", reasons: [third] },
  },
  "issues at each run if that is asked for": {
    set: wholeSet(),
    policy: daily("weekly", undefined, "always"),
    now: clocksAt(1),
    decision: { action: "issue", reasons: [] },
  },
  "waits for the window even with renew = always": {
    set: wholeSet(),
    policy: daily("weekly", sunday, "always"),
    now: clocksAt(1),
    decision: { action: "wait", until: at(7), reasons: [] },
  },
  "issues for a call in any case": {
    set: wholeSet(),
    policy: call,
    now: clocksAt(1),
    decision: { action: "issue", reasons: [] },
  },
  "asks for the server's CAs a week after the last check": {
    set: wholeSet({ checkedAt: at(1) }),
    now: clocksAt(8),
    decision: { action: "check CA" },
  },
  "asks for it a moment before the week is over, as a timer may fire": {
    set: wholeSet({ checkedAt: at(7.001) }),
    policy: daily("weekly", sunday),
    now: clocksAt(14),
    decision: { action: "check CA" },
  },
  "asks for it at once if the last check is in the future": {
    set: wholeSet({ checkedAt: at(300) }),
    now: clocksAt(1),
    decision: { action: "check CA" },
  },
  "asks for it at once if a CA check is asked for": {
    set: wholeSet({ checkedAt: at(1) }),
    policy: daily("now"),
    now: clocksAt(1),
    decision: { action: "check CA" },
  },
  "does not ask for it before": {
    set: wholeSet({ checkedAt: at(1) }),
    now: clocksAt(7.9),
    decision: { action: "none" },
  },
  "does not ask for it for plain files": {
    set: { ...wholeSet(), checkedAt: undefined },
    now: clocksAt(15),
    decision: { action: "none" },
  },
  "does not ask for it outside the window, and says when that opens": {
    set: wholeSet({ checkedAt: at(1) }),
    policy: daily("weekly", sunday),
    now: clocksAt(10),
    decision: { action: "none", caCheckAt: at(14) },
  },
  "does nothing for the same CA": {
    set: wholeSet({ checkedAt: at(1) }),
    now: clocksAt(8),
    ca: "same",
    decision: { action: "none" },
  },
  "refreshes the files if the server's CAs have changed": {
    set: wholeSet({ checkedAt: at(1) }),
    now: clocksAt(8),
    ca: "renewed",
    decision: { action: "refresh CA" },
  },
  "issues if the server no longer has its CA": {
    set: wholeSet({ checkedAt: at(1) }),
    now: clocksAt(8),
    ca: "other",
    decision: { action: "issue", reasons: ["the server no longer has the CA that signed it"] },
  },
  "refuses a key that others can write": {
    set: wholeSet({ keyOrigin: wide }),
    now: clocksAt(1),
    decision: { action: "refuse", foreign: { why: "others can write it" } },
  },
  "refuses it for a call, too": {
    set: wholeSet({ keyOrigin: wide }),
    policy: call,
    now: clocksAt(1),
    decision: { action: "refuse" },
  },
  "makes a new key in its place if that is asked for": {
    set: wholeSet({ keyOrigin: wide }),
    policy: force,
    now: clocksAt(1),
    decision: { action: "issue", reasons: [] },
  },
  "fixes a mode that is wider than it should be": {
    set: wholeSet({ attributes: { key: { mode: 0o100644, uid: 0, gid: 0 } } }),
    now: clocksAt(1),
    decision: { action: "none", files: "fix" },
  },
  "rewrites the key for another mode": {
    set: wholeSet({ keyMode: 0o600 }),
    asked: { keyMode: 0o640 },
    now: clocksAt(1),
    decision: { action: "none", files: "rewrite" },
  },
};

test("decide() looks for the next opening of a window only if something waits for it", () => {
  let looks = 0;
  const window = { ...parseWindow(sunday) };
  Object.defineProperty(window, "days", { get: () => [looks++ < 0 ? 1 : 0] });
  const policy: RenewalPolicy = {
    renew: "due",
    fraction: timerFraction,
    windows: [window],
    caCheck: "weekly",
  };
  decide(wholeSet(), asked, policy, clocksAt(3));
  expect(looks).toBe(0);
  decide(wholeSet(), asked, policy, clocksAt(22));
  expect(looks).toBeGreaterThan(6 * 24 * 60);
});

describe("decide()", () => {
  test.each(Object.entries(rows))("%s", (_, row) => {
    const wanted = { ...asked, ...row.asked };
    const decision = decide(row.set, wanted, row.policy ?? daily(), row.now, row.ca);
    expect(decision).toMatchObject(row.decision);
  });
});

describe("fileFaults()", () => {
  const file = (mode: number, uid = 0) => ({ mode: 0o100000 | mode, uid, gid: uid });
  const right = { key: file(0o600), certificate: file(0o644), ca: file(0o644) };
  const owner = { uid: 0, gid: 0 };

  test.each([
    ["nothing wrong", right, []],
    ["a key that others may read", { ...right, key: file(0o644) }, ["others may read its key"]],
    ["an odd mode of the key", { ...right, key: file(0o700) }, ["its key's mode is 0700, not 0600"]],
    [
      "a CA file that others can write",
      { ...right, ca: file(0o646) },
      ["its CA file's mode is 0646, not 0644"],
    ],
    ["narrower files than are asked for", { ...right, certificate: file(0o600) }, []],
    ["another owner", { ...right, key: file(0o600, 7) }, ["its files do not belong to their owner"]],
  ])("finds %s", (_, attributes, faults) => {
    const set = wholeSet({ attributes });
    expect(fileFaults(set, { owner })).toEqual(faults);
    const decision = decide(set, { ...asked, owner }, daily(), clocksAt(1));
    expect(decision).toMatchObject({ action: "none", files: faults.length === 0 ? "right" : "fix" });
  });
});
