import { Failure } from "../failure.ts";
import type { Server } from "./server.ts";

const checkEveryMs = 1000;

/** Tells when a server in the foreground has to end. */
export interface Ending {
  /** Aborted by TERM, INT or QUIT, or when the parent has ended. The reason names the cause. */
  readonly signal: AbortSignal;
  /**
   * Resolves when the server has to end.
   *
   * @throws Failure (unavailable) if the server ends by itself
   */
  wait(server: Server): Promise<void>;
}

/** Starts to watch for them. From now on these signals have no other effect. */
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
  }, checkEveryMs);
  timer.unref();
  return {
    signal,
    async wait(server) {
      for (let gone = 0; !signal.aborted; gone = server.pid === undefined ? gone + 1 : 0) {
        // Checked twice: a service manager sends its signal to the server and to us at the same moment.
        if (gone > 1) throw new Failure("unavailable", "the server ended by itself");
        await sleep(checkEveryMs, signal);
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
