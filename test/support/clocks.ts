import type { Clocks } from "../../lib/tasks/clock.ts";

/** Two clocks that agree. */
export function bothAt(now = new Date()): Clocks {
  return { host: now, server: now };
}
