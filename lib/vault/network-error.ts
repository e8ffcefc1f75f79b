import type { Failure, FailureKind } from "../failure.ts";
import type { ProxyServer, TlsOptions } from "./connection.ts";
import { codeOf, type RequestName, VaultError } from "./error.ts";
import type { ShownCertificate } from "./shown-certificate.ts";

interface Attempt {
  /** Ends the whole run. */
  readonly signal: AbortSignal;
  /** Ends this attempt. */
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
  /** There was no connection, so the server can't have acted on the request. */
  readonly untouched?: boolean;
}

const causes: readonly Cause[] = [
  {
    pattern: /^ECONNREFUSED$/,
    kind: "temporary",
    sentence: "refuses the connection",
    hint: "check VAULT_ADDR, and that the server is running",
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
    hint: "does it use TLS on this port, and does it ask for a client certificate (VAULT_CLIENT_CERT, VAULT_CLIENT_KEY)?",
  },
  {
    pattern: /^FailedToOpenSocket$/,
    kind: "temporary",
    sentence: "can't be connected to",
    hint: "check VAULT_ADDR, the CA files and the client certificate's files",
    untouched: true,
  },
];

/**
 * Says in words why a fetch failed: fetch itself throws a bare code, or less. If the reason is the server's
 * certificate, that is fetched once more, over a separate connection that carries no request.
 */
export async function networkError(
  error: unknown,
  request: RequestName,
  url: URL,
  attempt: Attempt,
): Promise<Failure> {
  const { proxy, tls } = attempt;
  const through = proxy === undefined ? "" : ` through the proxy ${describeProxy(proxy)}`;
  const server = proxy === undefined ? url.host : hostBehind(url, proxy);
  const run: unknown = attempt.signal.reason;
  if (attempt.signal.aborted) {
    const sentence = `${url.host} had not answered${through} when the run ended (${words(run)})`;
    return new VaultError("temporary", request, sentence, { cause: error });
  }
  if (attempt.limit.aborted) {
    const seconds = attempt.requestTimeoutMs / 1000;
    const sentence = `${url.host} did not answer${through} within ${seconds} s`;
    return new VaultError("temporary", request, sentence, { cause: error, transient: true });
  }
  const code = codeOf(error);
  if (code === "ERR_PROXY_TUNNEL" && proxy !== undefined) {
    const [, status] = /: (\d{3})\b/.exec(words(error)) ?? [];
    return proxyRefusal(Number(status), request, url, proxy, error);
  }
  if (isCertificateFault(code)) return await certificateError(error, request, url, attempt, server);
  if (code === "FailedToOpenSocket") {
    const fault = await tls?.findFault?.();
    if (fault !== undefined) return fault;
  }
  const cause = causes.find(({ pattern }) => pattern.test(code));
  if (cause === undefined) {
    const sentence = `${url.host} broke off the connection${through} (${code || words(error)})`;
    return new VaultError("temporary", request, sentence, { cause: error, transient: true });
  }
  // We connect only to the proxy. If the proxy can't reach the server, it says so by a status.
  const isAboutProxy = proxy !== undefined && cause.untouched === true;
  const who = isAboutProxy ? `the proxy ${describeProxy(proxy)}` : server;
  return new VaultError(cause.kind, request, `${who} ${cause.sentence} (${code})`, {
    cause: error,
    hint: isAboutProxy ? `check ${proxy.from}, and that the proxy is running` : cause.hint,
    transient: cause.kind === "temporary",
    untouched: cause.untouched ?? false,
  });
}

/** A proxy with TLS has a certificate of its own, and the runtime does not say which of the two was wrong. */
function hostBehind(url: URL, proxy: ProxyServer): string {
  return proxy.url.protocol === "https:"
    ? `${url.host}, or the proxy ${describeProxy(proxy)} itself,`
    : `${url.host}, through the proxy ${describeProxy(proxy)},`;
}

/** Leaves out the user and the password. */
function describeProxy({ url, from }: ProxyServer): string {
  return `${url.host} (${from})`;
}

/** The error for a proxy's own status, in answer to a tunnel or to the request itself. */
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
      ? `${who} rejects the user and the password (HTTP 407)`
      : `${who} requires a user and a password (HTTP 407)`;
    return new VaultError("config", request, sentence, {
      cause,
      status,
      hint: `set ${proxy.from} to ${proxy.url.protocol}//USER:PASSWORD@${proxy.url.host}, in a place that others can't read`,
    });
  }
  const sentence = `${who} does not connect to ${url.host} (${status ? `HTTP ${status}` : "no status given"})`;
  const isTemporary = status === 429 || !(status < 500);
  return new VaultError(isTemporary ? "temporary" : "unavailable", request, sentence, {
    cause,
    hint: isTemporary
      ? "check that the server is running, and that the proxy can reach it"
      : "have the proxy allow this address, or name the server in NO_PROXY",
    transient: isTemporary,
    untouched: true,
  });
}

/**
 * Whether a code names a fault of a certificate. The runtime has one code of its own, for a wrong name; the others are
 * BoringSSL's, which have a `_` unlike the system's.
 */
function isCertificateFault(code: string): boolean {
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return true;
  return /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$/.test(code) && !/^(ERR|EAI)_/.test(code);
}

async function certificateError(
  error: unknown,
  request: RequestName,
  url: URL,
  { tls = {}, proxy, signal }: Attempt,
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
  const isSystemTrust = caFrom === undefined || !/^(VAULT|BAO)_/.test(caFrom);
  const trusted = caFrom === undefined ? "" : `; trusted here: ${caFrom}`;
  const issuer = shown === undefined ? "" : `: its issuer is ${shown.issuer}`;
  switch (code) {
    case "CERT_HAS_EXPIRED":
      return shown !== undefined && shown.notAfter > new Date()
        ? {
            sentence: `shows a certificate whose CA has expired by this machine's clock (${code})${issuer}${trusted}`,
            hint: "correct this machine's clock if it is wrong; otherwise renew the CA",
          }
        : {
            sentence: `shows a certificate that has expired by this machine's clock (${code})`,
            hint: "correct this machine's clock if it is wrong; otherwise renew the server's certificate",
          };
    case "CERT_NOT_YET_VALID":
      return {
        sentence: `shows a certificate that is not valid yet by this machine's clock (${code})`,
        hint: "correct this machine's clock if it is behind",
      };
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return {
        sentence: `shows a certificate for another name${
          serverName === undefined ? "" : ` than VAULT_TLS_SERVER_NAME ${JSON.stringify(serverName)}`
        } (${code})${shown === undefined ? "" : `: ${shown.names}`}`,
        hint: "use a name from the certificate in VAULT_ADDR, or set VAULT_TLS_SERVER_NAME to one",
      };
  }
  if (!/ISSUER_CERT|VERIFY_LEAF|SELF_SIGNED|CERT_SIGNATURE/.test(code)) {
    return {
      sentence: `shows a certificate that is not usable for a server (${code}: ${said})${issuer}${trusted}`,
      hint: "reissue the server's certificate for TLS servers and for this name",
    };
  }
  return {
    sentence: `shows a certificate that no trusted CA has signed (${code})${issuer}${trusted}`,
    hint: isSystemTrust
      ? "set VAULT_CACERT to the CA's file, or VAULT_CAPATH to a folder that holds it"
      : `if VAULT_ADDR is right, add the CA that signed the server's certificate to ${caFrom}`,
  };
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : "no reason given";
}
