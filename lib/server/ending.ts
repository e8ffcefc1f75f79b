import { Failure } from "../failure.ts";
import type { Server } from "./server.ts";

const lookMs = 1000;

/** When a server that runs in the foreground is to end. */
export interface Ending {
  /** Aborted by TERM, INT or QUIT, or when the parent has ended: the reason says it in words. */
  readonly signal: AbortSignal;
  /**
   * Resolves when it is to end.
   *
   * @throws Failure (unavailable) when the server ended by itself
   */
  wait(server: Server): Promise<void>;
}

/** From now on, those signals do nothing else. */
export function watchEnding(): Ending {
  const controller = new AbortController();
  const { signal } = controller;
  for (const name of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) {
    process.once(name, () => controller.abort(name));
  }
  const parent = process.ppid;
  const timer = setInterval(() => {
    // An orphan has another parent.
    if (process.ppid !== parent) controller.abort("the end of its parent");
  }, lookMs);
  timer.unref();
  return {
    signal,
    async wait(server) {
      for (let gone = 0; !signal.aborted; gone = server.pid === undefined ? gone + 1 : 0) {
        // Looked at twice: a service manager tells the server to end in the same moment as us.
        if (gone > 1) throw new Failure("unavailable", "the server ended by itself");
        await sleep(lookMs, signal);
      }
    },
  };
}

async function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  signal.addEventListener("abort", () => resolve(), { once: true });
  await promise;
  clearTimeout(timer);
}
