import { isPlausibleNow } from "../calendar.ts";
import { Failure } from "../failure.ts";
import { parseAddress, redirectTarget } from "./address.ts";
import { readJson, strangerHint } from "./body.ts";
import type { ProxyServer, TlsOptions } from "./connection.ts";
import { VaultError } from "./error.ts";
import { gate } from "./gate.ts";
import { codeOf, networkError, proxyRefusal } from "./network-error.ts";
import { encodePath } from "./path.ts";
import { retry, retryAfterMs } from "./retry.ts";
import { Answer, isFields } from "./shape.ts";
import { statusError } from "./status-error.ts";

export interface VaultClientOptions {
  /** `https://vault.example.com:8200` */
  readonly address: string;
  readonly token?: string | undefined;
  readonly namespace?: string | undefined;
  readonly tls?: TlsOptions;
  /** The one on the way to an address. @default none */
  readonly proxy?: (to: URL) => ProxyServer | undefined;
  /** For one try of one request, in milliseconds. @default 15_000 */
  readonly requestTimeoutMs?: number;
  /** Tries after the first. @default 2 */
  readonly maxRetries?: number;
  /** Requests under way at one time. @default 8 */
  readonly maxConcurrent?: number;
  /** Ends every request: the time limit of the whole run, or its being told to stop. */
  readonly signal?: AbortSignal;
  /** What is left of that time limit, in milliseconds: a longer wait is not begun. */
  readonly timeLeftMs?: () => number;
  readonly onRetry?: (error: VaultError, waitMs: number) => void;
  /** Told of each request that is sent, for a log. */
  readonly onRequest?: (method: string, path: string) => void;
}

export interface VaultRequest {
  readonly method: "GET" | "POST" | "DELETE";
  /** Below `/v1/`, unescaped. */
  readonly path: string;
  /** Asks for the names below the path (`LIST`, which fetch would send as GET without a word). */
  readonly list?: boolean;
  readonly body?: unknown;
  /** Keeps the answer's numbers as they were written, for who hands them on. */
  readonly exactNumbers?: boolean;
  /** Instead of the client's. */
  readonly token?: string;
  /** What a policy must grant on the path: named in the error when it is refused. */
  readonly capability: string;
  /**
   * Once it is under way, neither a time limit nor the end of the run breaks it off: the server ends what it does for
   * a request as soon as nobody waits for the answer.
   */
  readonly unbroken?: true;
  /** The longest answer that is read. @default 8 */
  readonly maxMebibytes?: number;
  /**
   * The server may act on it twice at no cost. Reads and writes of state are; making a token is not, since the
   * one whose answer was lost lives for years.
   */
  readonly repeatable: boolean;
}

export interface VaultClient {
  readonly address: string;
  /** The answer's JSON, still to be checked; undefined where it has none. Throws VaultError. */
  request(request: VaultRequest): Promise<unknown>;
  /** The same, as an object to read fields from; an empty answer is an error. */
  ask(request: VaultRequest): Promise<Answer>;
  /** The same client, its connections too, with another token. */
  withToken(token: string): VaultClient;
  /** How far the server's clock is ahead of this machine's, in milliseconds, by its last answer; undefined before. */
  clockAheadMs(): number | undefined;
}

// Bun's own additions to fetch that its types leave out or name otherwise.
type FetchOptions = BunFetchRequestInit & {
  verbose?: boolean;
  proxy?: string | false;
  timeout?: false;
  protocol?: Protocol;
};

type Protocol = "http1.1" | "http2";

/**
 * A client of one server. It opens nothing before the first request; connections are kept for the next ones.
 *
 * @throws Failure (config) when the address is not an http or https one
 */
export function createVaultClient(options: VaultClientOptions): VaultClient {
  const { requestTimeoutMs = 15_000, maxRetries = 2, signal = new AbortController().signal } = options;
  const home = parseAddress(options.address);
  const tls = tlsSettings(options.tls);
  const enter = gate(options.maxConcurrent ?? 8);
  // Where requests go: the address, until a standby names its leader.
  let base = home;
  let clockAheadMs: number | undefined;
  let protocol: Protocol = "http1.1";

  /** A server that speaks HTTP/2 alone refuses the handshake of a client that does not: nothing was sent by then. */
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
    if (body !== undefined) headers["Content-Type"] = "application/json";

    const isUnbroken = request.unbroken === true && !signal.aborted;
    const limit = isUnbroken ? new AbortController().signal : AbortSignal.timeout(requestTimeoutMs);
    const init: FetchOptions = {
      method: request.method,
      headers,
      redirect: "manual", // a followed one would carry the token to any host
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
        if (response.status === 407 && proxy !== undefined) throw proxyRefusal(407, request, url, proxy);
        clockAheadMs = aheadMs(response) ?? clockAheadMs;
        if (response.status < 300 || response.status >= 400) return await read(response, request);
        base = redirectTarget(response, url, request, hops);
      } catch (error) {
        base = home; // the leader that we were sent to may be gone
        // What the run was stopped with does not say what was under way.
        if (error instanceof Failure && error !== signal.reason) throw error;
        const { tls } = options;
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
 * By the answer's `Date` (RFC 9110, section 6.6.1), which is in whole seconds; undefined where it tells none, or one
 * that can't be. A proxy may have written it.
 */
function aheadMs(response: Response): number | undefined {
  const date = Date.parse(response.headers.get("date") ?? "");
  return isPlausibleNow(date) ? date - Date.now() : undefined;
}

/** A success's JSON; throws the error that the answer tells otherwise. */
async function read(response: Response, request: VaultRequest): Promise<unknown> {
  const value = await readJson(response, request);
  if (response.ok) return value;
  const errors = isFields(value) && Array.isArray(value.errors) ? value.errors : [];
  // "Nothing there" and "permission denied" mean something from Vault alone, not from a proxy on the way.
  const isVaults = isFields(value) && (Array.isArray(value.errors) || "request_id" in value);
  if (!isVaults && (response.status === 403 || response.status === 404)) {
    const sentence = `HTTP ${response.status} came without the errors that Vault lists`;
    throw new VaultError("unavailable", request, sentence, {
      status: response.status,
      hint: strangerHint,
    });
  }
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

/** A header's value: what fetch would refuse it tells as a broken connection, and it trims or recodes the rest. */
function sendable(what: string, text: string): string {
  if (/^[\x21-\x7e]+$/.test(text)) return text;
  throw new Failure("data", `${what} is empty, or holds a blank or a character that is not printable`, {
    hint: "look for a line feed or a quotation mark that came along when it was copied",
  });
}

/** Set in full: an absent `rejectUnauthorized` would leave the choice to NODE_TLS_REJECT_UNAUTHORIZED. */
function tlsSettings(options: TlsOptions = {}) {
  return {
    rejectUnauthorized: options.skipVerify !== true,
    // As Go has it: a CA below a root, or the server's own certificate, is trusted where it is named itself.
    ...(options.ca === undefined || options.ca.length === 0
      ? {}
      : { ca: [...options.ca], allowPartialTrustChain: true }),
    ...(options.cert === undefined ? {} : { cert: options.cert }),
    ...(options.key === undefined ? {} : { key: options.key }),
    ...(options.serverName === undefined ? {} : { serverName: options.serverName }),
  };
}
