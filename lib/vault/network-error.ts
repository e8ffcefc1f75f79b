import { ExitCode } from "../failure.ts";
import { type RequestName, VaultError } from "./error.ts";

interface Limits {
  /** The whole run's. */
  readonly signal: AbortSignal;
  /** The one try's. */
  readonly limit: AbortSignal;
  readonly requestTimeoutMs: number;
}

interface Cause {
  readonly pattern: RegExp;
  readonly exitCode: ExitCode;
  readonly sentence: string;
  readonly hint?: string;
  /** The connection was never there, so the server can't have acted on the request. */
  readonly untouched?: boolean;
}

const causes: readonly Cause[] = [
  {
    pattern: /^ECONNREFUSED$/,
    exitCode: ExitCode.tryLater,
    sentence: "refuses the connection",
    hint: "check VAULT_ADDR, and that the server runs",
    untouched: true,
  },
  {
    pattern: /^(ENOTFOUND|EAI_\w+|DNSException)$/,
    exitCode: ExitCode.tryLater,
    sentence: "has no address in DNS",
    untouched: true,
  },
  {
    pattern: /^(EHOSTUNREACH|ENETUNREACH|ENETDOWN|EADDRNOTAVAIL)$/,
    exitCode: ExitCode.tryLater,
    sentence: "can't be reached",
    untouched: true,
  },
  {
    pattern: /^CERT_HAS_EXPIRED$/,
    exitCode: ExitCode.unavailable,
    sentence: "shows a certificate that has expired, by this machine's clock",
    hint: "set this machine's clock, or renew the server's certificate, whichever is wrong",
  },
  {
    pattern: /^CERT_NOT_YET_VALID$/,
    exitCode: ExitCode.unavailable,
    sentence: "shows a certificate that is not valid yet, by this machine's clock",
    hint: "set this machine's clock if it is behind",
  },
  {
    pattern: /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    exitCode: ExitCode.unavailable,
    sentence: "shows a certificate for another name",
    hint: "use the name that the certificate holds in VAULT_ADDR, or set VAULT_TLS_SERVER_NAME to it",
  },
  {
    pattern: /CERT|SIGNATURE|ISSUER/,
    exitCode: ExitCode.unavailable,
    sentence: "shows a certificate that no CA trusted here has signed",
    hint: "set VAULT_CACERT to the CA's file, or VAULT_CAPATH to a folder that holds it",
  },
  {
    pattern: /^(EPROTO|ERR_SSL.*)$/,
    exitCode: ExitCode.unavailable,
    sentence: "breaks off the TLS handshake",
    hint: "does it speak TLS on this port, and does it ask for a client certificate (VAULT_CLIENT_CERT, VAULT_CLIENT_KEY)?",
  },
  {
    pattern: /^FailedToOpenSocket$/,
    exitCode: ExitCode.tryLater,
    sentence: "can't be connected to",
    hint: "check VAULT_ADDR, and that the CA and client certificate files hold what they should",
    untouched: true,
  },
];

/**
 * What a failed fetch means, in words: it throws bare codes, or nothing that a person could use.
 */
export function networkError(error: unknown, request: RequestName, url: URL, limits: Limits): VaultError {
  const run: unknown = limits.signal.reason;
  if (limits.signal.aborted) {
    const sentence = `${url.host} had not answered when the run ended (${words(run)})`;
    return new VaultError(ExitCode.tryLater, request, sentence, { cause: error });
  }
  if (limits.limit.aborted) {
    const seconds = limits.requestTimeoutMs / 1000;
    return new VaultError(ExitCode.tryLater, request, `${url.host} did not answer within ${seconds} s`, {
      cause: error,
      transient: true,
    });
  }
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const cause = causes.find(({ pattern }) => pattern.test(code));
  if (cause === undefined) {
    return new VaultError(
      ExitCode.tryLater,
      request,
      `${url.host} broke off the connection (${code || words(error)})`,
      {
        cause: error,
        transient: true,
      },
    );
  }
  return new VaultError(cause.exitCode, request, `${url.host} ${cause.sentence} (${code})`, {
    cause: error,
    hint: cause.hint,
    transient: cause.exitCode === ExitCode.tryLater,
    untouched: cause.untouched ?? false,
  });
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : "no reason given";
}
