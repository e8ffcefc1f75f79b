import type { Server } from "bun";

/** A request that passed, in the API's terms. */
interface Passed {
  readonly method: string;
  /** Below `/v1/`, unescaped, without its query. */
  readonly path: string;
}

export interface Relay {
  readonly address: string;
  readonly passed: readonly Passed[];
  /** The requests that may change something in the server. */
  writes(): readonly Passed[];
  /** Forgets the requests so far. */
  reset(): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Paths of POST requests that change nothing. */
const looks = ["auth/token/lookup", "sys/capabilities-self"];

/** Whether a request may change something in the server. */
export function isWrite({ method, path }: Passed): boolean {
  return method !== "GET" && !looks.includes(path);
}

/**
 * A fault to play instead of a request or after it; undefined lets the request through. `pass` sends it on: call it
 * first to let the server act, and then lose its answer. Its signal tells the server that nobody waits any more.
 */
export type Fault = (
  request: Passed,
  number: number,
  pass: (signal?: AbortSignal) => Promise<Response>,
) => Response | undefined | Promise<Response | undefined>;

/** Makes the server's clock seem ahead of this host's, or behind it, by changing the time in its answers. */
export function movedClock(aheadMs: () => number): Fault {
  return async (_request, _number, pass) => {
    const answer = await pass();
    const headers = new Headers(answer.headers);
    headers.set("Date", new Date(Date.now() + aheadMs()).toUTCString());
    return new Response(answer.body, { status: answer.status, headers });
  };
}

/** Stands in front of a real server, and records or spoils the requests. */
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
