import type { Failure, FailureKind } from "../failure.ts";
import type { ProxyServer, TlsOptions } from "./connection.ts";
import { type RequestName, VaultError } from "./error.ts";
import type { ShownCertificate } from "./shown-certificate.ts";

interface Way {
  /** The whole run's. */
  readonly signal: AbortSignal;
  /** The one try's. */
  readonly limit: AbortSignal;
  readonly requestTimeoutMs: number;
  readonly proxy: ProxyServer | undefined;
  readonly tls: TlsOptions | undefined;
}

interface Cause {
  readonly pattern: RegExp;
  readonly kind: FailureKind;
  readonly sentence: string;
  readonly hint?: string;
  /** The connection was never there, so the server can't have acted on the request. */
  readonly untouched?: boolean;
}

const causes: readonly Cause[] = [
  {
    pattern: /^ECONNREFUSED$/,
    kind: "temporary",
    sentence: "refuses the connection",
    hint: "check VAULT_ADDR, and that the server runs",
    untouched: true,
  },
  {
    pattern: /^(ENOTFOUND|EAI_\w+|DNSException)$/,
    kind: "temporary",
    sentence: "has no address in DNS",
    untouched: true,
  },
  {
    pattern: /^(EHOSTUNREACH|ENETUNREACH|ENETDOWN|EADDRNOTAVAIL)$/,
    kind: "temporary",
    sentence: "can't be reached",
    untouched: true,
  },
  {
    pattern: /^(EPROTO|ERR_SSL.*)$/,
    kind: "unavailable",
    sentence: "breaks off the TLS handshake",
    hint: "does it speak TLS on this port, and does it ask for a client certificate (VAULT_CLIENT_CERT, VAULT_CLIENT_KEY)?",
  },
  {
    pattern: /^FailedToOpenSocket$/,
    kind: "temporary",
    sentence: "can't be connected to",
    hint: "check VAULT_ADDR, and that the CA and client certificate files hold what they should",
    untouched: true,
  },
];

/** `ECONNREFUSED` and alike; empty where an error has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/**
 * What a failed fetch means, in words: it throws bare codes, or nothing that a person could use. Where the server's
 * certificate is the reason, it is looked at once more, over a connection of its own on which nothing is sent.
 */
export async function networkError(
  error: unknown,
  request: RequestName,
  url: URL,
  way: Way,
): Promise<Failure> {
  const { proxy, tls } = way;
  const through = proxy === undefined ? "" : ` through the proxy ${describeProxy(proxy)}`;
  const server = proxy === undefined ? url.host : hostBehind(url, proxy);
  const run: unknown = way.signal.reason;
  if (way.signal.aborted) {
    const sentence = `${url.host} had not answered${through} when the run ended (${words(run)})`;
    return new VaultError("temporary", request, sentence, { cause: error });
  }
  if (way.limit.aborted) {
    const seconds = way.requestTimeoutMs / 1000;
    const sentence = `${url.host} did not answer${through} within ${seconds} s`;
    return new VaultError("temporary", request, sentence, { cause: error, transient: true });
  }
  const code = codeOf(error);
  if (code === "ERR_PROXY_TUNNEL" && proxy !== undefined) {
    const [, status] = /: (\d{3})\b/.exec(words(error)) ?? [];
    return proxyRefusal(Number(status), request, url, proxy, error);
  }
  if (isCertificateFault(code)) return await certificateError(error, request, url, way, server);
  if (code === "FailedToOpenSocket") {
    const fault = await tls?.findFault?.();
    if (fault !== undefined) return fault;
  }
  const cause = causes.find(({ pattern }) => pattern.test(code));
  if (cause === undefined) {
    const sentence = `${url.host} broke off the connection${through} (${code || words(error)})`;
    return new VaultError("temporary", request, sentence, { cause: error, transient: true });
  }
  // With a proxy there is no connection but to that: it tells of the server's by a status.
  const isProxys = proxy !== undefined && cause.untouched === true;
  const who = isProxys ? `the proxy ${describeProxy(proxy)}` : server;
  return new VaultError(cause.kind, request, `${who} ${cause.sentence} (${code})`, {
    cause: error,
    hint: isProxys ? `check ${proxy.from}, and that the proxy runs` : cause.hint,
    transient: cause.kind === "temporary",
    untouched: cause.untouched ?? false,
  });
}

/** A proxy that speaks TLS has a certificate of its own, and the runtime does not tell whose was wrong. */
function hostBehind(url: URL, proxy: ProxyServer): string {
  return proxy.url.protocol === "https:"
    ? `${url.host}, or the proxy ${describeProxy(proxy)} itself,`
    : `${url.host}, through the proxy ${describeProxy(proxy)},`;
}

/** Without the user and the password that it may hold. */
function describeProxy({ url, from }: ProxyServer): string {
  return `${url.host} (${from})`;
}

/** What a proxy's own status means: for a tunnel to the server, or for the request itself. */
export function proxyRefusal(
  status: number,
  request: RequestName,
  url: URL,
  proxy: ProxyServer,
  cause?: unknown,
): VaultError {
  const who = `the proxy ${describeProxy(proxy)}`;
  if (status === 407) {
    const isGiven = proxy.url.username !== "";
    const sentence = isGiven
      ? `${who} does not accept the user and the password (HTTP 407)`
      : `${who} wants a user and a password (HTTP 407)`;
    return new VaultError("config", request, sentence, {
      cause,
      status,
      hint: `set ${proxy.from} to ${proxy.url.protocol}//USER:PASSWORD@${proxy.url.host}, where nobody else can read it`,
    });
  }
  const sentence = `${who} does not connect to ${url.host} (${status ? `HTTP ${status}` : "no status given"})`;
  const mayPass = status === 429 || !(status < 500);
  return new VaultError(mayPass ? "temporary" : "unavailable", request, sentence, {
    cause,
    hint: mayPass
      ? "check that the server runs, and that the proxy reaches it"
      : "have the proxy allow this address, or name the server in NO_PROXY",
    transient: mayPass,
    untouched: true,
  });
}

/** BoringSSL's names of what is wrong with a certificate, beside the runtime's for a name; the system's have no `_`. */
function isCertificateFault(code: string): boolean {
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return true;
  return /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$/.test(code) && !/^(ERR|EAI)_/.test(code);
}

async function certificateError(
  error: unknown,
  request: RequestName,
  url: URL,
  { tls = {}, proxy, signal }: Way,
  server: string,
): Promise<VaultError> {
  const { lookAtCertificate } = await import("./shown-certificate.ts");
  const shown = await lookAtCertificate(url, tls, proxy, signal);
  const { sentence, hint } = certificateFault(codeOf(error), words(error), shown, tls);
  return new VaultError("unavailable", request, `${server} ${sentence}`, { cause: error, hint });
}

function certificateFault(
  code: string,
  said: string,
  shown: ShownCertificate | undefined,
  { caFrom, serverName }: TlsOptions,
): { sentence: string; hint: string } {
  const isOwn = caFrom === undefined || !/^(VAULT|BAO)_/.test(caFrom);
  const trusted = caFrom === undefined ? "" : `; trusted here: ${caFrom}`;
  const issuer = shown === undefined ? "" : `: its issuer is ${shown.issuer}`;
  switch (code) {
    case "CERT_HAS_EXPIRED":
      return shown !== undefined && shown.notAfter > new Date()
        ? {
            sentence: `shows a certificate whose CA has expired, by this machine's clock (${code})${issuer}${trusted}`,
            hint: "set this machine's clock, or renew the CA, whichever is wrong",
          }
        : {
            sentence: `shows a certificate that has expired, by this machine's clock (${code})`,
            hint: "set this machine's clock, or renew the server's certificate, whichever is wrong",
          };
    case "CERT_NOT_YET_VALID":
      return {
        sentence: `shows a certificate that is not valid yet, by this machine's clock (${code})`,
        hint: "set this machine's clock if it is behind",
      };
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return {
        sentence: `shows a certificate for another name${
          serverName === undefined ? "" : ` than ${JSON.stringify(serverName)} of VAULT_TLS_SERVER_NAME`
        } (${code})${shown === undefined ? "" : `: ${shown.names}`}`,
        hint: "use the name that the certificate holds in VAULT_ADDR, or set VAULT_TLS_SERVER_NAME to it",
      };
  }
  if (!/ISSUER_CERT|VERIFY_LEAF|SELF_SIGNED|CERT_SIGNATURE/.test(code)) {
    return {
      sentence: `shows a certificate that can't serve as a server's here (${code}: ${said})${issuer}${trusted}`,
      hint: "have the server's certificate issued anew, for TLS servers and for this name",
    };
  }
  return {
    sentence: `shows a certificate that no CA trusted here has signed (${code})${issuer}${trusted}`,
    hint: isOwn
      ? "set VAULT_CACERT to the CA's file, or VAULT_CAPATH to a folder that holds it"
      : `if VAULT_ADDR is right, have ${caFrom} hold the CA that signed the server's certificate`,
  };
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : "no reason given";
}
