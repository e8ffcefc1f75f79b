import type { OnProgress } from "../vault/each.ts";
import type { Log } from "./log.ts";

const quietMs = 2000;

/**
 * Notes a line if something takes longer than two seconds.
 *
 * @returns the function to call when it is over
 */
export function sayIfSlow(log: Log, line: string): () => void {
  const timer = setTimeout(() => log.note(line), quietMs);
  return () => clearTimeout(timer);
}

/**
 * Notes how far a job is, every two seconds. A job that takes less gets no note.
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
