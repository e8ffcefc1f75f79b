import { readFileSync } from "node:fs";
import { connect, type TLSSocket } from "node:tls";

/** What a client of etcd presents, and whom it trusts, in PEM. */
export interface Identity {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** The server's answer, after a handshake that both sides accepted. */
interface Answer {
  readonly status: number;
  readonly text: string;
}

/** Longer than etcd itself waits for a leader. */
const timeoutMs = 12_000;

/** The files of a destination, which a run may replace meanwhile. */
export function readIdentity(destination: string): Identity {
  const read = () => {
    const [cert = "", key = "", ca = ""] = [".pem", "-key.pem", "-ca.pem"].map((suffix) =>
      readFileSync(destination + suffix, "utf8"),
    );
    return { cert, key, ca };
  };
  for (;;) {
    const [first, second] = [read(), read()];
    if (Bun.deepEquals(first, second)) return second;
  }
}

/** There was no answer: nobody listens, the server has closed the connection, or a certificate was refused. */
export class NoAnswer extends Error {
  /** Nothing was said about a certificate: the server may have been stopped. A refusal may look like this too. */
  readonly isCut: boolean;

  constructor(message: string, code: string) {
    super(message);
    this.isCut = ["ECONNREFUSED", "ECONNRESET", "EPIPE"].includes(code);
  }
}

/**
 * Sends one request over a connection of its own, with a whole handshake.
 *
 * @throws NoAnswer
 */
export async function ask(port: number, identity: Identity, path: string, body?: object): Promise<Answer> {
  const content = body === undefined ? "" : JSON.stringify(body);
  // By HTTP/1.0 the answer ends with the connection.
  const request = [
    `${body === undefined ? "GET" : "POST"} ${path} HTTP/1.0`,
    `Content-Length: ${Buffer.byteLength(content)}`,
    `\r\n${content}`,
  ].join("\r\n");
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let text = "";
  const socket: TLSSocket = connect({ host: "127.0.0.1", port, ...identity }, () => {
    if (socket.isSessionReused()) reject(new Error("the handshake was shortened"));
    socket.write(request);
  });
  socket.setEncoding("utf8");
  socket.setTimeout(timeoutMs, () => reject(new Error(`no answer within ${timeoutMs / 1000} s`)));
  socket.on("data", (more) => {
    text += more;
    if (isWhole(text)) resolve(text);
  });
  socket.on("error", ({ message, code = "" }: NodeJS.ErrnoException) => reject(new NoAnswer(message, code)));
  socket.on("close", () => resolve(text));
  try {
    const [head = "", ...rest] = (await promise).split("\r\n\r\n");
    const status = Number(/^HTTP\/1\.[01] (\d{3}) /.exec(head)?.[1]);
    if (!status) throw new NoAnswer("the connection was closed", "ECONNRESET");
    return { status, text: rest.join("\r\n\r\n") };
  } finally {
    socket.destroy();
  }
}

/** A member leaves its peers' connections open for a while. */
function isWhole(text: string): boolean {
  const [, head, body = ""] = /^([\s\S]*?\r\n)\r\n([\s\S]*)$/.exec(text) ?? [];
  const length = /^content-length: (\d+)\r$/im.exec(head ?? "")?.[1];
  return length !== undefined && Buffer.byteLength(body) >= Number(length);
}

const encoded = (text: string) => Buffer.from(text).toString("base64");

/**
 * Writes a key with its own name as the value.
 *
 * @throws NoAnswer; Error with the server's own answer if it refuses the write
 */
export async function put(port: number, identity: Identity, key: string): Promise<void> {
  const { status, text } = await ask(port, identity, "/v3/kv/put", {
    key: encoded(key),
    value: encoded(key),
  });
  if (status !== 200) throw new Error(`${status}: ${text}`);
}

/** All keys that have their own name as the value, as that member has them after everybody's last write. */
export async function storedKeys(port: number, identity: Identity): Promise<ReadonlySet<string>> {
  const all = { key: encoded("\0"), range_end: encoded("\0") };
  const { status, text } = await ask(port, identity, "/v3/kv/range", all);
  if (status !== 200) throw new Error(`${status}: ${text}`);
  const { kvs = [] }: { kvs?: ReadonlyArray<{ key: string; value: string }> } = JSON.parse(text);
  return new Set(kvs.filter(({ key, value }) => key === value).map(({ key }) => atob(key)));
}
