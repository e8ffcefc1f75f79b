import { formatDuration } from "../duration.ts";
import type { VaultClient } from "../vault/client.ts";
import { readSealed } from "../vault/sys.ts";

/** A difference that a person should know of is longer: more than a slow answer and whole seconds explain. */
export const tolerableMs = 60_000;

/**
 * What time it is where certificates are made. That clock decides what is valid; a host's own may be anywhere
 * before its time service has run.
 *
 * @returns the host's time where both agree within a minute, or the server was not asked yet; else the server's
 */
export function serverTime(client: VaultClient): Date {
  const aheadMs = client.clockAheadMs() ?? 0;
  return new Date(Date.now() + (Math.abs(aheadMs) > tolerableMs ? aheadMs : 0));
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
