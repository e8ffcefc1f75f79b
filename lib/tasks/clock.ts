import { isPlausibleNow } from "../calendar.ts";
import { formatDuration } from "../duration.ts";
import type { VaultClient } from "../vault/client.ts";
import { readSealed } from "../vault/sys.ts";

/** Clocks that differ by no more count as equal: a slow answer and a `Date` in whole seconds explain as much. */
const tolerableMs = 60_000;

/**
 * What time it is. No clock decides alone: a host's may be anywhere before its time service has run, and the server's
 * is told by whoever answers, which a proxy may be. So a certificate is due if either clock says so, and valid if
 * either says so.
 */
export interface Clocks {
  readonly host: Date;
  /** By the last answer that told it; the host's own where none did, or where both agree within a minute. */
  readonly server: Date;
}

/**
 * Both clocks, now. Where the host's was never set, the server's stands for both.
 *
 * @param client undefined asks this host's clock alone
 */
export function readClocks(client?: VaultClient, hostMs = Date.now()): Clocks {
  const aheadMs = client?.clockAheadMs() ?? 0;
  const server = new Date(hostMs + (Math.abs(aheadMs) > tolerableMs ? aheadMs : 0));
  const isSet = isPlausibleNow(hostMs) || !isPlausibleNow(server.getTime());
  return { host: isSet ? new Date(hostMs) : server, server };
}

/** Asks the server for nothing but its time, where it was asked for nothing yet: with an admin's token, say. */
export async function learnServerTime(client: VaultClient): Promise<void> {
  if (client.clockAheadMs() === undefined) await readSealed(client);
}

/** A sentence when the clocks disagree by more than a minute: for a log, and for what fails because of it. */
export function clockNote(client: VaultClient): string | undefined {
  const aheadMs = client.clockAheadMs() ?? 0;
  if (Math.abs(aheadMs) <= tolerableMs) return undefined;
  const apart = formatDuration(Math.abs(aheadMs) / 1000);
  return `this host's clock is ${apart} ${aheadMs > 0 ? "behind" : "ahead of"} the server's`;
}

/** How long it is until a moment, in milliseconds, by the clock that is closer to it; below zero for what is past. */
export function untilMs({ host, server }: Clocks, moment: Date): number {
  return moment.getTime() - Math.max(host.getTime(), server.getTime());
}

export interface Times {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** What the clocks say of a certificate: `ended` and `to come` where that is what both say. */
export type Validity = "valid" | "ended" | "to come" | "neither";

/** Valid if either clock says so. Both clocks count as right where they are no further apart than a minute. */
export function validityOf({ notBefore, notAfter }: Times, { host, server }: Clocks): Validity {
  const says = (now: Date): Validity =>
    now >= notAfter ? "ended" : now.getTime() + tolerableMs < notBefore.getTime() ? "to come" : "valid";
  const [a, b] = [says(host), says(server)];
  return a === "valid" || b === "valid" ? "valid" : a === b ? a : "neither";
}

/**
 * The clocks, corrected by what they showed when a certificate was issued. If one of them, and not the other, showed a
 * time past the due date by then, it was ahead: by the time from the certificate's beginning to what it showed. It is set
 * back by that. Otherwise a clock that stays wrong would have a new certificate issued, and services restarted, at each
 * run.
 *
 * @param issued what the clocks showed when it was issued; undefined where nobody has noted that
 */
export function correctedFor(
  { notBefore, dueAt }: { readonly notBefore: Date; readonly dueAt: Date },
  issued: Clocks | undefined,
  now: Clocks,
): Clocks {
  if (issued === undefined) return now;
  const corrected = (clock: keyof Clocks, other: keyof Clocks) => {
    const wasAhead = issued[clock] >= dueAt && issued[other] < dueAt;
    // One that shows less than it did has been set since. An answer's Date is in whole seconds, and comes late.
    return wasAhead && now[clock].getTime() + tolerableMs >= issued[clock].getTime()
      ? new Date(now[clock].getTime() - (issued[clock].getTime() - notBefore.getTime()))
      : now[clock];
  };
  return { host: corrected("host", "server"), server: corrected("server", "host") };
}

/** Between two looks whether the server has another CA by now: a week. */
const caCheckMs = 7 * 86_400_000;

/**
 * When to look at the server's CA again, by this host's clock alone, which dated the last look. If that date is yet to
 * come, or is none, the clock has been set since: then it is time for a look.
 */
export function nextCaLook(checkedAt: Date, now: Date): Date {
  const at = checkedAt.getTime();
  return at <= now.getTime() + tolerableMs ? new Date(at + caCheckMs) : now;
}
