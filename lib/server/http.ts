import { readFileSync } from "node:fs";
import { Failure } from "../failure.ts";

/** The address of a server, and the certificates for it. */
export interface Endpoint {
  address: string;
  caFile?: string | undefined;
  /** The client certificate, if the server requires one. */
  client?: { certFile: string; keyFile: string } | undefined;
}

export interface Answer {
  status: number;
  body: Record<string, unknown>;
}

/** Sends one request to a server that we started: without a proxy, on a new connection, within 10 seconds. */
export async function ask(
  endpoint: Endpoint,
  method: "GET" | "POST",
  path: string,
  options: { token?: string; body?: object } = {},
): Promise<Answer> {
  const response = await fetch(`${endpoint.address}/v1/${path}`, {
    method,
    headers: options.token ? { "X-Vault-Token": options.token } : {},
    ...(options.body && { body: JSON.stringify(options.body) }),
    ...(endpoint.caFile && { tls: tlsOf(endpoint, endpoint.caFile) }),
    proxy: false,
    // A kept connection would be stale after the server is restarted.
    keepalive: false,
    redirect: "manual",
    signal: AbortSignal.timeout(10_000),
  });
  const text = await response.text();
  return { status: response.status, body: text ? JSON.parse(text) : {} };
}

/** Like `ask`, but throws a Failure unless the answer is a success. */
export async function demand(...args: Parameters<typeof ask>): Promise<Record<string, unknown>> {
  const answer = await ask(...args);
  if (answer.status >= 300) {
    const [endpoint, method, path] = args;
    const said = JSON.stringify(answer.body);
    throw new Failure(
      "unavailable",
      `${method} ${endpoint.address}/v1/${path} answered ${answer.status}: ${said}`,
    );
  }
  return answer.body;
}

function tlsOf({ client }: Endpoint, caFile: string) {
  return {
    ca: readFileSync(caFile, "utf8"),
    rejectUnauthorized: true,
    ...(client && { cert: readFileSync(client.certFile, "utf8"), key: readFileSync(client.keyFile, "utf8") }),
  };
}
