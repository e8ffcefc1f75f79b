import type { Clocks } from "../../lib/vault/server-time.ts";

/** Two clocks that agree. */
export function bothAt(now = new Date()): Clocks {
  return { host: now, server: now };
}
