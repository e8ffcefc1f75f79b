/** The kind of a failure says who can fix it, and whether waiting helps. */
export type FailureKind =
  /** The command line is wrong; nothing was done. */
  | "usage"
  /** The content of a file or an answer is wrong. */
  | "data"
  /** The server can't do this, and trying again won't help. */
  | "unavailable"
  /** A bug in this tool. */
  | "internal"
  /** A file, a folder or standard output can't be used. */
  | "file"
  /** Trying again later may help. */
  | "temporary"
  /** The token or the user is not allowed to do this. */
  | "permission"
  /** A configuration is wrong. */
  | "config";

export interface FailureOptions {
  /** What the reader can do about it. Printed below the message. */
  hint?: string | undefined;
  /** The last lines that a program printed. Printed below the message. */
  details?: readonly string[];
  cause?: unknown;
}

/**
 * An error for people. Its message is one sentence: what was tried, on what, and why it failed. It never contains a
 * secret. Only `lib/cli` turns the kind into an exit code.
 */
export class Failure extends Error {
  override readonly name: string = "Failure";
  readonly kind: FailureKind;
  readonly hint: string | undefined;
  readonly details: readonly string[];

  constructor(kind: FailureKind, sentence: string, options: FailureOptions = {}) {
    super(sentence, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.hint = options.hint;
    this.details = options.details ?? [];
  }
}

/** A Failure as a result. Any other error is a bug, and is thrown again. */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  throw error;
}

/** The same failure in other words. What is not given stays. */
export function reworded(
  { kind, message, hint, details, cause }: Failure,
  words: { readonly sentence?: string; readonly hint?: string },
): Failure {
  return new Failure(kind, words.sentence ?? message, { hint: words.hint ?? hint, details, cause });
}
