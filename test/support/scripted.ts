import { createServer, type Socket } from "node:net";

/** A request that arrived. */
export interface Seen {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: Headers;
  readonly body: string;
}

export interface ScriptedServer extends AsyncDisposable {
  readonly address: string;
  readonly seen: readonly Seen[];
}

/** A server with scripted answers. Only for answers that no real server can be made to give. */
export function startScripted(
  answer: (seen: Seen, number: number) => Response | Promise<Response>,
  tls?: { readonly cert: string; readonly key: string },
): ScriptedServer {
  const seen: Seen[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 60,
    ...(tls === undefined ? {} : { tls }),
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      const one = {
        method: request.method,
        path: pathname + search,
        headers: request.headers,
        body: await request.text(),
      };
      seen.push(one);
      return await answer(one, seen.length);
    },
  });
  return {
    address: `http${tls === undefined ? "" : "s"}://127.0.0.1:${server.port}`,
    seen,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

export interface RawServer extends AsyncDisposable {
  readonly address: string;
  readonly connections: number;
  readonly requests: number;
  /** Connections that either end has closed. */
  readonly closed: number;
}

export interface RawAnswers {
  onConnection?(socket: Socket): void;
  onRequest?(socket: Socket, number: number, text: string): void;
}

/** A server that sends raw bytes, for answers that break off, drip or never come. It counts connections. */
export async function startRaw(answers: RawAnswers): Promise<RawServer> {
  const sockets = new Set<Socket>();
  let [connections, requests, closed] = [0, 0, 0];
  const server = createServer((socket) => {
    connections++;
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => {
      closed++;
      sockets.delete(socket);
    });
    socket.on("data", (chunk) => {
      const text = chunk.toString("latin1");
      if (!/^[A-Z]+ \S+ HTTP\/1\.1\r\n/.test(text)) return;
      requests++;
      answers.onRequest?.(socket, requests, text);
    });
    answers.onConnection?.(socket);
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const at = server.address();
      resolve(typeof at === "object" && at !== null ? at.port : 0);
    });
  });
  return {
    address: `http://127.0.0.1:${port}`,
    get connections() {
      return connections;
    },
    get requests() {
      return requests;
    },
    get closed() {
      return closed;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
