import { type Clocks, tolerableMs } from "../vault/clocks.ts";

/** A certificate's first and last moment. */
export interface Times {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** What the clocks say of a certificate: `ended` or `not yet` only if both say so. */
export type Validity = "valid" | "ended" | "not yet" | "neither";

/** From first to last moment, in milliseconds. */
export function lifetimeMs({ notBefore, notAfter }: Times): number {
  return notAfter.getTime() - notBefore.getTime();
}

/** Valid if either clock says so. A certificate that begins within the next minute counts as valid. */
export function validityOf({ notBefore, notAfter }: Times, { host, server }: Clocks): Validity {
  const says = (now: Date): Validity =>
    now >= notAfter ? "ended" : now.getTime() + tolerableMs < notBefore.getTime() ? "not yet" : "valid";
  const [a, b] = [says(host), says(server)];
  return a === "valid" || b === "valid" ? "valid" : a === b ? a : "neither";
}

/**
 * The clocks, corrected by what they showed when a certificate was issued. If only one clock showed a time
 * past the due date at the issue, that clock was ahead. It is set back by how far it was past the certificate's
 * beginning. Without this, a clock that stays wrong would make each run issue a new certificate and restart services.
 *
 * @param issued what the clocks showed when it was issued; undefined if that was not recorded
 */
export function correctedClocks(
  { notBefore, dueAt }: { readonly notBefore: Date; readonly dueAt: Date },
  issued: Clocks | undefined,
  now: Clocks,
): Clocks {
  if (issued === undefined) return now;
  const corrected = (clock: keyof Clocks) =>
    correctsFrom(clock, issued, dueAt) <= now[clock].getTime()
      ? new Date(now[clock].getTime() - (issued[clock].getTime() - notBefore.getTime()))
      : now[clock];
  return { host: corrected("host"), server: corrected("server") };
}

/**
 * The time in milliseconds from which on a clock is known to be ahead; Infinity if it was right. A clock that shows
 * less than it did at the issue has been set since. An answer's date is in whole seconds and comes late, hence the
 * tolerance.
 */
function correctsFrom(clock: keyof Clocks, issued: Clocks, dueAt: Date): number {
  const other = clock === "host" ? "server" : "host";
  const wasAhead = issued[clock] >= dueAt && issued[other] < dueAt;
  return wasAhead ? issued[clock].getTime() - tolerableMs : Infinity;
}

/**
 * In how many milliseconds each clock will be known to be ahead. Clocks that are right, or already known to be ahead,
 * are left out.
 */
export function correctionsAfter(dueAt: Date, issued: Clocks | undefined, now: Clocks): readonly number[] {
  if (issued === undefined) return [];
  return (["host", "server"] as const)
    .map((clock) => correctsFrom(clock, issued, dueAt) - now[clock].getTime())
    .filter((ms) => ms > 0 && ms < Infinity);
}
