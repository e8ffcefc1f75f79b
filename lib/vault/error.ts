import { type ExitCode, Failure, type FailureOptions } from "../failure.ts";

/** What a request was, for sentences: never its body, which may hold a secret. */
export interface RequestName {
  readonly method: string;
  /** Below `/v1/`. */
  readonly path: string;
}

export interface VaultErrorOptions extends FailureOptions {
  status?: number | undefined;
  /** The server's own words, an empty list where it lists none; absent where what answered was not Vault. */
  serverErrors?: readonly string[] | undefined;
  /** The server surely did not act on the request, so repeating it is safe whatever it was. */
  untouched?: boolean;
  /** Trying again within this run may help. */
  transient?: boolean;
  /** What the server asked us to wait before the next try, in milliseconds. */
  retryAfterMs?: number | undefined;
}

/** A request that failed: its name, the status and the server's words when it answered, and what to do. */
export class VaultError extends Failure {
  override readonly name = "VaultError";
  readonly method: string;
  readonly path: string;
  readonly status: number | undefined;
  readonly serverErrors: readonly string[] | undefined;
  readonly untouched: boolean;
  readonly transient: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(exitCode: ExitCode, request: RequestName, sentence: string, options: VaultErrorOptions = {}) {
    super(exitCode, `${request.method} ${request.path}: ${sentence}`, options);
    this.method = request.method;
    this.path = request.path;
    this.status = options.status;
    this.serverErrors = options.serverErrors;
    this.untouched = options.untouched ?? false;
    this.transient = options.transient ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Vault and OpenBao add "invalid token" to "permission denied" (HTTP 403); `lookup` of another says "bad token". */
export const unknownTokenWords = /invalid token|bad token|token not found/;

/** The server does not know the token that was sent: expired, revoked, or made by another server. */
export function isUnknownToken(error: unknown): error is VaultError {
  return error instanceof VaultError && error.status === 403 && wasSaid(error, unknownTokenWords);
}

/** The token lives on to its end and can't be renewed: a root token, or one made so. */
export function isNotRenewable(error: unknown): error is VaultError {
  return error instanceof VaultError && error.status === 400 && wasSaid(error, /not renewable/);
}

/** No token of the server has that accessor: it expired, or was revoked, this moment it may be. */
export function isUnknownAccessor(error: unknown): error is VaultError {
  return error instanceof VaultError && wasSaid(error, /invalid accessor|token not found/);
}

/** Nothing is mounted at the path, or what is there is being taken away. */
export function isNotMounted(error: unknown): error is VaultError {
  return error instanceof VaultError && error.status === 404 && wasSaid(error, /no handler for route/);
}

/** Of a mount that has no issuer to sign with, or none that it is told to sign with. */
export const noIssuerWords = /no default issuer currently configured/;

/** No issuer of a PKI mount is its default. */
export function isWithoutIssuer(error: unknown): error is VaultError {
  return error instanceof VaultError && wasSaid(error, noIssuerWords);
}

function wasSaid(error: VaultError, pattern: RegExp): boolean {
  return error.serverErrors?.some((words) => pattern.test(words)) ?? false;
}

/**
 * The path holds nothing, while its mount exists: a read of it gives 404 with an empty list of errors. A proxy's 404
 * says nothing of the path.
 */
export function isNothingThere(error: unknown): error is VaultError {
  return error instanceof VaultError && error.status === 404 && error.serverErrors?.length === 0;
}
