import { Failure, type FailureKind, type FailureOptions } from "../failure.ts";
import { isSaid, type Meaning } from "./meaning.ts";

/** Names a request in messages. Its body is left out, since it may hold a secret. */
export interface RequestName {
  readonly method: string;
  /** Below `/v1/`. */
  readonly path: string;
}

export interface VaultErrorOptions extends FailureOptions {
  status?: number | undefined;
  /** The errors that Vault listed, perhaps none; absent if something other than Vault answered. */
  serverErrors?: readonly string[] | undefined;
  /** The server certainly did not act on the request, so any request may be repeated. */
  untouched?: boolean;
  /** Trying again in this run may help. */
  transient?: boolean;
  /** The wait that the server asks for, in milliseconds. */
  retryAfterMs?: number | undefined;
}

/** A failed request, with the status and the errors of the answer if there was one. */
export class VaultError extends Failure {
  override readonly name = "VaultError";
  readonly method: string;
  readonly path: string;
  readonly status: number | undefined;
  readonly serverErrors: readonly string[] | undefined;
  readonly untouched: boolean;
  readonly transient: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(kind: FailureKind, request: RequestName, sentence: string, options: VaultErrorOptions = {}) {
    super(kind, `${request.method} ${request.path}: ${sentence}`, options);
    this.method = request.method;
    this.path = request.path;
    this.status = options.status;
    this.serverErrors = options.serverErrors;
    this.untouched = options.untouched ?? false;
    this.transient = options.transient ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Whether the server's answer has this meaning, by its status and words. */
export function means(error: unknown, meaning: Meaning): error is VaultError {
  return (
    error instanceof VaultError &&
    error.status !== undefined &&
    isSaid(meaning, error.status, error.serverErrors ?? [])
  );
}

/**
 * Whether the mount exists but holds nothing at the path: such a read gives 404 with an empty list of errors. A
 * proxy's 404 says nothing about the path.
 */
export function isNothingThere(error: unknown): error is VaultError {
  return error instanceof VaultError && error.status === 404 && error.serverErrors?.length === 0;
}

/** Whether trying again may help, by the status alone. 501, 505 and 511 say that it never will. */
export function mayPass(status: number): boolean {
  return status === 429 || (status >= 500 && ![501, 505, 511].includes(status));
}

/** An error's code, like `ECONNREFUSED`; empty if it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
