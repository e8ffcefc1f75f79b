import type { OnProgress } from "../vault/each.ts";
import type { Log } from "./log.ts";

const quietMs = 2000;

/**
 * Says a line where what it is about takes longer than two seconds.
 *
 * @returns to be called at its end
 */
export function sayIfSlow(log: Log, line: string): () => void {
  const timer = setTimeout(() => log.note(line), quietMs);
  return () => clearTimeout(timer);
}

/**
 * Tells of a job that takes longer than two seconds how far it is, each two seconds.
 *
 * @param now in milliseconds
 */
export function tellProgress(log: Log, now: () => number = () => performance.now()): OnProgress {
  let said = now();
  let doing = "";
  return (what, done, total) => {
    if (what !== doing) {
      doing = what;
      said = now();
    }
    if (done === total || now() - said < quietMs) return;
    said = now();
    log.note(`${what}: ${done} of ${total}`);
  };
}
