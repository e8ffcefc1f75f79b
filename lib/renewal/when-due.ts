import type { Manifest } from "../manifest/manifest.ts";
import { isOpen, nextOpening, type Window } from "../manifest/window.ts";
import { type Clocks, tolerableMs, untilMs } from "../vault/clocks.ts";
import { lifetimeMs, type Times } from "./validity.ts";

/** When to ask the server whether its CA has changed, for a certificate that is not due. */
export type CaCheck = "never" | "weekly" | "now";

/** When a certificate is renewed. */
export type RenewalPolicy =
  /** In any case. */
  | {
      readonly renew: "now";
      readonly newKey: boolean;
      /** @default that of a call */
      readonly fraction?: Fraction;
      /** @default "never" */
      readonly caCheck?: CaCheck;
    }
  /** `due`: once it is due. `always`: at each run. */
  | {
      readonly renew: "due" | "always";
      readonly fraction: Fraction;
      /** When a usable certificate may be replaced; none: at any time. */
      readonly windows: readonly Window[];
      readonly caCheck: CaCheck;
    };

/** How much of a lifetime is left when a certificate becomes due. */
export interface Fraction {
  readonly usual: Part;
  /** For a lifetime shorter than ten days. */
  readonly short: Part;
}

interface Part {
  readonly part: number;
  readonly words: string;
}

const aThird: Part = { part: 1 / 3, words: "a third" };
const aHalf: Part = { part: 1 / 2, words: "half" };
const shortMs = 10 * 86_400_000;

/** For a certificate that somebody renews by hand. */
export const callFraction: Fraction = { usual: aThird, short: aThird };
/** For a certificate that a daily timer renews: short ones early, so that several runs may fail. */
export const timerFraction: Fraction = { usual: aThird, short: aHalf };

/** The policy of a manifest. */
export function manifestPolicy({ renew, windows }: Manifest, caCheck: CaCheck): RenewalPolicy {
  return { renew, fraction: timerFraction, windows, caCheck };
}

/** The policy that replaces a manifest's certificate at once, outside its windows too, and keeps the key. */
export const reissuePolicy: RenewalPolicy = {
  renew: "now",
  newKey: false,
  fraction: timerFraction,
  caCheck: "now",
};

/** The policy of a call that renews one certificate when it is due. */
export function callPolicy(caCheck: CaCheck): RenewalPolicy {
  return { renew: "due", fraction: callFraction, windows: [], caCheck };
}

/** Whether a new key is made even if there is one. */
export function makesNewKey(policy: RenewalPolicy): boolean {
  return policy.renew === "now" && policy.newKey;
}

function fractionOf(policy: RenewalPolicy): Fraction {
  return policy.fraction ?? callFraction;
}

function partLeft(times: Times, policy: RenewalPolicy): Part {
  const { usual, short } = fractionOf(policy);
  return lifetimeMs(times) < shortMs ? short : usual;
}

/** When a certificate becomes due. */
export function dueAt(times: Times, policy: RenewalPolicy): Date {
  return new Date(times.notAfter.getTime() - lifetimeMs(times) * partLeft(times, policy).part);
}

/** Why a certificate is due for its age. */
export function dueReason(times: Times, policy: RenewalPolicy): string {
  return `less than ${partLeft(times, policy).words} of its lifetime is left`;
}

/** When a tenth of the lifetime is left: from then on a certificate is replaced outside its window too. */
export function urgentAt(times: Times): Date {
  return new Date(times.notAfter.getTime() - lifetimeMs(times) / 10);
}

/**
 * When a usable certificate may be replaced; undefined for now. Windows follow the host's own clock, right or wrong,
 * since its timers fire by that clock.
 *
 * @param hostNow what this host's clock shows
 * @param clocks corrected for the certificate: see `correctedClocks`
 */
export function waitsUntil(
  policy: RenewalPolicy,
  times: Times,
  hostNow: Date,
  clocks: Clocks,
): Date | undefined {
  const windows = policy.renew === "now" ? [] : policy.windows;
  if (isOpen(windows, hostNow) || untilMs(clocks, urgentAt(times)) <= 0) return undefined;
  return nextOpening(windows, hostNow);
}

/**
 * How often the server's CAs are checked. An hour less than a week: a timer may fire a moment earlier than a week
 * before, and a run that waits for a window each Sunday would miss it.
 */
export const caCheckMs = 7 * 86_400_000 - 3_600_000;

/** Whether a CA check is due: see `nextCaCheck`. */
export function isCaCheckDue(policy: RenewalPolicy, checkedAt: Date | undefined, now: Date): boolean {
  const at = nextCaCheck(policy, checkedAt, now);
  return at !== undefined && at <= now;
}

/**
 * When the server's CAs are checked next, by this host's clock, which dated the last check. If that date is invalid or in
 * the future, the clock has been set since: then a check is due now.
 *
 * @param checkedAt undefined if the CA was never checked, as for plain files: then only a renewal compares it
 * @returns undefined for never
 */
export function nextCaCheck(policy: RenewalPolicy, checkedAt: Date | undefined, now: Date): Date | undefined {
  const { caCheck = "never" } = policy;
  if (caCheck === "never") return undefined;
  if (caCheck === "now") return now;
  if (checkedAt === undefined) return undefined;
  const at = checkedAt.getTime();
  return at <= now.getTime() + tolerableMs ? new Date(at + caCheckMs) : now;
}
