/** What kind of failure it is: it tells who can do something about it, and whether waiting helps. */
export type FailureKind =
  /** The command line is wrong; nothing was done. */
  | "usage"
  /** A file or an answer holds what it should not. */
  | "data"
  /** The server can't serve this, and trying again won't help. */
  | "unavailable"
  /** A fault of ours. */
  | "internal"
  /** A file, a folder or standard output can't be used. */
  | "file"
  /** Trying again later may help. */
  | "temporary"
  /** The token, or the user, may not do this. */
  | "permission"
  /** Something was set up wrongly. */
  | "config";

export interface FailureOptions {
  /** What the reader can do about it: a second line, printed below the sentence. */
  hint?: string | undefined;
  /** The last lines that a program said, printed below the sentence. */
  details?: readonly string[];
  cause?: unknown;
}

/**
 * An error that a person reads: one sentence that names what was tried, on what, and why it failed. `lib/cli` alone
 * turns its kind into an exit code. It never holds a secret.
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
