import type { Server } from "bun";

/** A request that passed, in the words of the API. */
interface Passed {
  readonly method: string;
  /** Below `/v1/`, unescaped, without its query. */
  readonly path: string;
}

export interface Relay {
  readonly address: string;
  readonly passed: readonly Passed[];
  /** Those that may change something in the server. */
  writes(): readonly Passed[];
  /** Forgets what passed so far. */
  reset(): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** What is asked for by a POST, and changes nothing. */
const looks = ["auth/token/lookup", "sys/capabilities-self"];

/** Whether a request may change something in the server. */
export function isWrite({ method, path }: Passed): boolean {
  return method !== "GET" && !looks.includes(path);
}

/**
 * A fault to play in a request's place or after it; undefined lets it through. `pass` sends the request on: call it
 * first to have the server act, and then lose its answer. Its signal has the server see that nobody waits any more.
 */
export type Fault = (
  request: Passed,
  number: number,
  pass: (signal?: AbortSignal) => Promise<Response>,
) => Response | undefined | Promise<Response | undefined>;

/** Has the server's clock seem to be ahead of this host's, or behind it, by the time that its answers tell. */
export function movedClock(aheadMs: () => number): Fault {
  return async (_request, _number, pass) => {
    const answer = await pass();
    const headers = new Headers(answer.headers);
    headers.set("Date", new Date(Date.now() + aheadMs()).toUTCString());
    return new Response(answer.body, { status: answer.status, headers });
  };
}

/** Stands before a real server, and sees (or spoils) what a client sends it. */
export function startRelay(upstream: string, fault?: Fault): Relay {
  const passed: Passed[] = [];
  const server: Server<undefined> = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 120,
    async fetch(request) {
      const url = new URL(request.url);
      const seen = { method: request.method, path: decodeURIComponent(url.pathname.replace(/^\/v1\//, "")) };
      passed.push(seen);
      const body = request.method === "GET" ? undefined : await request.arrayBuffer();
      const headers = new Headers(request.headers);
      headers.delete("host");
      headers.delete("accept-encoding");
      const pass = (signal?: AbortSignal) =>
        fetch(new URL(url.pathname + url.search, upstream), {
          method: request.method,
          headers,
          redirect: "manual",
          ...(body === undefined ? {} : { body }),
          ...(signal === undefined ? {} : { signal }),
        });
      return (await fault?.(seen, passed.length, pass)) ?? (await pass());
    },
  });
  return {
    address: `http://127.0.0.1:${server.port}`,
    passed,
    writes: () => passed.filter(isWrite),
    reset: () => {
      passed.length = 0;
    },
    async [Symbol.asyncDispose]() {
      await server.stop(true);
    },
  };
}
