import type { Clocks } from "../../lib/vault/clocks.ts";

/** Two clocks that agree. */
export function bothAt(now = new Date()): Clocks {
  return { host: now, server: now };
}
