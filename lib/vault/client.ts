import { isPlausibleNow } from "../calendar.ts";
import { Failure } from "../failure.ts";
import { parseAddress, redirectTarget } from "./address.ts";
import { notVaultHint, readJson } from "./body.ts";
import type { ProxyServer, TlsOptions } from "./connection.ts";
import { codeOf, VaultError } from "./error.ts";
import { gate } from "./gate.ts";
import { encodePath } from "./path.ts";
import { retry, retryAfterMs } from "./retry.ts";
import { Answer, isFields } from "./shape.ts";

export interface VaultClientOptions {
  /** `https://vault.example.com:8200` */
  readonly address: string;
  readonly token?: string | undefined;
  readonly namespace?: string | undefined;
  readonly tls?: TlsOptions;
  /** The proxy that leads to an address. @default none */
  readonly proxy?: (to: URL) => ProxyServer | undefined;
  /** Time limit of one attempt at one request, in milliseconds. @default 15_000 */
  readonly requestTimeoutMs?: number;
  /** Attempts after the first. @default 2 */
  readonly maxRetries?: number;
  /** Requests under way at the same time. @default 8 */
  readonly maxConcurrent?: number;
  /** Ends every request: when the whole run's time limit is over, or when the run has to stop. */
  readonly signal?: AbortSignal;
  /** Time left until that limit, in milliseconds. A longer wait is not begun. */
  readonly timeLeftMs?: () => number;
  readonly onRetry?: (error: VaultError, waitMs: number) => void;
  /** Called for each request that is sent, for a log. */
  readonly onRequest?: (method: string, path: string) => void;
}

export interface VaultRequest {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  /** Below `/v1/`, unescaped. */
  readonly path: string;
  /** Asks for the names below the path. (fetch silently turns the method `LIST` into GET.) */
  readonly list?: boolean;
  readonly body?: unknown;
  /** Keeps the answer's numbers as they were written, so that they can be passed on unchanged. */
  readonly exactNumbers?: boolean;
  /** Sent instead of the client's own token. */
  readonly token?: string;
  /** What a policy must grant on the path. The error names it when the request is refused. */
  readonly capability: string;
  /**
   * Once the request is under way, neither its time limit nor the end of the run breaks it off: the server stops
   * working on a request as soon as its client is gone.
   */
  readonly unbroken?: true;
  /** The longest answer that is read, in MiB. @default 8 */
  readonly maxMebibytes?: number;
  /**
   * Sending the request twice does no harm. That holds for reads and for writes of state, but not for making a token:
   * if the answer is lost, the first token stays valid for years.
   */
  readonly repeatable: boolean;
}

export interface VaultClient {
  readonly address: string;
  /** The answer's JSON, not checked yet; undefined for an empty answer. Throws VaultError. */
  request(request: VaultRequest): Promise<unknown>;
  /** The same, as an object to read fields from. An empty answer is an error. */
  ask(request: VaultRequest): Promise<Answer>;
  /** This client with another token. Both share their connections. */
  withToken(token: string): VaultClient;
  /**
   * How far the server's clock was ahead of this machine's at its last answer, in milliseconds; undefined before one.
   */
  clockAheadMs(): number | undefined;
}

// Bun's additions to fetch that its types leave out or spell differently.
type FetchOptions = BunFetchRequestInit & {
  verbose?: boolean;
  proxy?: string | false;
  timeout?: false;
  protocol?: Protocol;
};

type Protocol = "http1.1" | "http2";

/**
 * A client of one server. It connects at its first request and keeps connections for later ones.
 *
 * @throws Failure (config) if the address is not an http or https one
 */
export function createVaultClient(options: VaultClientOptions): VaultClient {
  const { requestTimeoutMs = 15_000, maxRetries = 2, signal = new AbortController().signal } = options;
  const home = parseAddress(options.address);
  const tls = fetchTls(options.tls);
  const enter = gate(options.maxConcurrent ?? 8);
  // Where requests go: to the address, until a standby names its leader.
  let base = home;
  let clockAheadMs: number | undefined;
  let protocol: Protocol = "http1.1";

  /** A server that speaks only HTTP/2 refuses the handshake of an HTTP/1.1 client. No request was sent by then. */
  async function open(url: URL, init: FetchOptions): Promise<Response> {
    try {
      return await fetch(url, { ...init, protocol });
    } catch (error) {
      if (url.protocol !== "https:" || codeOf(error) !== "EPROTO") throw error;
      const other = protocol === "http2" ? "http1.1" : "http2";
      try {
        const response = await fetch(url, { ...init, protocol: other });
        protocol = other;
        return response;
      } catch (again) {
        throw ["EPROTO", "HTTP2Unsupported"].includes(codeOf(again)) ? error : again;
      }
    }
  }

  async function send(request: VaultRequest): Promise<unknown> {
    options.onRequest?.(request.method, request.path);
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const headers: Record<string, string> = { "X-Vault-Request": "true", Accept: "application/json" };
    const { namespace } = options;
    if (request.token !== undefined) headers["X-Vault-Token"] = sendable("the token", request.token);
    if (namespace !== undefined) headers["X-Vault-Namespace"] = sendable("the namespace", namespace);
    // RFC 7396: a patch changes the fields that it names.
    const type = request.method === "PATCH" ? "application/merge-patch+json" : "application/json";
    if (body !== undefined) headers["Content-Type"] = type;

    const isUnbroken = request.unbroken === true && !signal.aborted;
    const limit = isUnbroken ? new AbortController().signal : AbortSignal.timeout(requestTimeoutMs);
    const init: FetchOptions = {
      method: request.method,
      headers,
      redirect: "manual", // following it would send the token to any host
      ...(isUnbroken ? { timeout: false } : { signal: AbortSignal.any([signal, limit]) }),
      tls,
      verbose: false, // BUN_CONFIG_VERBOSE_FETCH would print the token
      ...(body === undefined ? {} : { body }),
    };
    const target = `v1/${encodePath(request.path)}${request.list === true ? "?list=true" : ""}`;
    for (let hops = 0; ; hops++) {
      const url = new URL(target, base);
      const proxy = options.proxy?.(url);
      try {
        const response = await open(url, { ...init, proxy: proxy?.url.href ?? false });
        if (response.status === 407 && proxy !== undefined) {
          const { proxyRefusal } = await import("./network-error.ts");
          throw proxyRefusal(407, request, url, proxy);
        }
        clockAheadMs = aheadMs(response) ?? clockAheadMs;
        if (response.status < 300 || response.status >= 400) return await read(response, request);
        base = redirectTarget(response, url, request, hops);
      } catch (error) {
        base = home; // that leader may be gone
        // The signal's reason doesn't name the request.
        if (error instanceof Failure && error !== signal.reason) throw error;
        const { tls } = options;
        const { networkError } = await import("./network-error.ts");
        throw await networkError(error, request, url, { signal, limit, requestTimeoutMs, proxy, tls });
      }
    }
  }

  async function request(request: VaultRequest): Promise<unknown> {
    using _ = await enter();
    return await retry(() => send(request), {
      maxRetries,
      repeatable: request.repeatable,
      signal,
      timeLeftMs: options.timeLeftMs,
      onRetry: options.onRetry,
    });
  }

  const withToken = (token: string | undefined): VaultClient => {
    const send = (asked: VaultRequest) => request(token === undefined ? asked : { token, ...asked });
    return {
      address: options.address,
      request: send,
      ask: async (asked) => new Answer(`${asked.method} ${asked.path}`, await send(asked)),
      withToken,
      clockAheadMs: () => clockAheadMs,
    };
  };
  return withToken(options.token);
}

/**
 * How far the answer's `Date` (RFC 9110, section 6.6.1) is ahead of this machine's clock. It is in whole seconds, and a
 * proxy may have written it; undefined if it is missing or can't be right.
 */
function aheadMs(response: Response): number | undefined {
  const date = Date.parse(response.headers.get("date") ?? "");
  return isPlausibleNow(date) ? date - Date.now() : undefined;
}

/** The JSON of a successful answer. Any other answer is thrown as an error. */
async function read(response: Response, request: VaultRequest): Promise<unknown> {
  const value = await readJson(response, request);
  if (response.ok) return value;
  const errors = isFields(value) && Array.isArray(value.errors) ? value.errors : [];
  // Only Vault can say "nothing there" or "permission denied". A proxy's 403 or 404 says nothing about the path.
  const isFromVault = isFields(value) && (Array.isArray(value.errors) || "request_id" in value);
  if (!isFromVault && (response.status === 403 || response.status === 404)) {
    const sentence = `HTTP ${response.status} came without the errors that Vault lists`;
    throw new VaultError("unavailable", request, sentence, {
      status: response.status,
      hint: notVaultHint,
    });
  }
  const { statusError } = await import("./status-error.ts");
  throw statusError(
    request,
    response.status,
    errors
      .filter((words) => typeof words === "string")
      .slice(0, 20)
      .map((words) => words.slice(0, 2_000)),
    retryAfterMs(response),
  );
}

/** Checks a header's value: fetch would report some values as a broken connection, and would trim or recode others. */
function sendable(what: string, text: string): string {
  if (/^[\x21-\x7e]+$/.test(text)) return text;
  throw new Failure("data", `${what} is empty, or holds a blank or an unprintable character`, {
    hint: "look for a line feed or a quotation mark that was copied along with it",
  });
}

/** `rejectUnauthorized` is always set: without it, NODE_TLS_REJECT_UNAUTHORIZED would decide. */
function fetchTls(options: TlsOptions = {}) {
  return {
    rejectUnauthorized: options.skipVerify !== true,
    // As in Go: an intermediate CA, or the server's own certificate, can be trusted without its root.
    ...(options.ca === undefined || options.ca.length === 0
      ? {}
      : { ca: [...options.ca], allowPartialTrustChain: true }),
    ...(options.cert === undefined ? {} : { cert: options.cert }),
    ...(options.key === undefined ? {} : { key: options.key }),
    ...(options.serverName === undefined ? {} : { serverName: options.serverName }),
  };
}
