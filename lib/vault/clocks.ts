import { isPlausibleNow } from "../calendar.ts";
import { formatDuration } from "../duration.ts";
import type { VaultClient } from "./client.ts";
import { readSealed } from "./sys.ts";

/** Two clocks this close count as equal: a slow answer and a `Date` in whole seconds explain as much. */
export const tolerableMs = 60_000;

/**
 * The time by two clocks. Neither decides alone. A host's clock may be wrong until its time service has run. The
 * server's time comes from its answers, which a proxy may have changed.
 */
export interface Clocks {
  readonly host: Date;
  /** By the last answer that had a date; the host's own if none had one, or if both agree within a minute. */
  readonly server: Date;
}

/**
 * Both clocks, now. If the host's clock was never set, the server's is used for both.
 *
 * @param client undefined asks this host's clock alone
 */
export function readClocks(client?: VaultClient, hostMs = Date.now()): Clocks {
  const server = new Date(hostMs + (client === undefined ? 0 : aheadMs(client)));
  const isSet = isPlausibleNow(hostMs) || !isPlausibleNow(server.getTime());
  return { host: isSet ? new Date(hostMs) : server, server };
}

/** The same clocks, some milliseconds later. */
export function laterClocks({ host, server }: Clocks, ms: number): Clocks {
  return { host: new Date(host.getTime() + ms), server: new Date(server.getTime() + ms) };
}

/** Asks the server for its time, unless an earlier answer has told it. */
export async function learnServerTime(client: VaultClient): Promise<void> {
  if (client.clockAheadMs() === undefined) await readSealed(client);
}

/** How far the server's clock is ahead: 0 if both agree within a minute, or if the server's is not known. */
function aheadMs(client: VaultClient): number {
  const ahead = client.clockAheadMs() ?? 0;
  return Math.abs(ahead) > tolerableMs ? ahead : 0;
}

/** A sentence if the clocks are apart: for a log, and for a failure that this explains. */
export function clockNote(client: VaultClient): string | undefined {
  const ahead = aheadMs(client);
  if (ahead === 0) return undefined;
  const apart = formatDuration(Math.abs(ahead) / 1000);
  return `this host's clock is ${apart} ${ahead > 0 ? "behind" : "ahead of"} the server's`;
}

/** Milliseconds until a moment, by the clock that is ahead; negative if it is past. */
export function untilMs({ host, server }: Clocks, moment: Date): number {
  return moment.getTime() - Math.max(host.getTime(), server.getTime());
}
