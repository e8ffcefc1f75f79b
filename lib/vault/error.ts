import { Failure, type FailureKind, type FailureOptions } from "../failure.ts";
import { isSaid, type Meaning } from "./meaning.ts";

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

/** Whether the server said that, by its status and words. */
export function means(error: unknown, meaning: Meaning): error is VaultError {
  return (
    error instanceof VaultError &&
    error.status !== undefined &&
    isSaid(meaning, error.status, error.serverErrors ?? [])
  );
}

/**
 * The path holds nothing, while its mount exists: a read of it gives 404 with an empty list of errors. A proxy's 404
 * says nothing of the path.
 */
export function isNothingThere(error: unknown): error is VaultError {
  return error instanceof VaultError && error.status === 404 && error.serverErrors?.length === 0;
}
