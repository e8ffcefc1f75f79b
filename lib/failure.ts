/**
 * Exit codes, from sysexits.h where it has one; units and CI read them.
 * @see https://man.openbsd.org/sysexits.3
 */
export const ExitCode = {
  /** Done, or nothing to do. */
  ok: 0,
  /** status: something is wrong. */
  wrong: 1,
  /** `--check`: something would change; status: something is due. */
  wouldChange: 2,
  /** EX_USAGE: the command line is wrong; nothing was done. */
  usage: 64,
  /** EX_DATAERR: a file or an answer holds what it should not. */
  data: 65,
  /** EX_UNAVAILABLE: the server can't serve this, and trying again won't help. */
  unavailable: 69,
  /** EX_SOFTWARE: a fault of ours. */
  software: 70,
  /** EX_CANTCREAT: a file, or standard output, can't be written. */
  cantCreate: 73,
  /** EX_TEMPFAIL: try again later. */
  tryLater: 75,
  /** EX_NOPERM: the token, or the user, may not do this. */
  noPermission: 77,
  /** EX_CONFIG: something that was set up wrongly. */
  config: 78,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

export interface FailureOptions {
  /** What the reader can do about it: a second line, printed below the sentence. */
  hint?: string | undefined;
  /** The last lines that a program said, printed below the sentence. */
  details?: readonly string[];
  cause?: unknown;
}

/**
 * An error that a person reads: one sentence that names what was tried, on what and why it failed, and
 * the exit code that tells a unit whether trying again helps. It never holds a secret.
 */
export class Failure extends Error {
  override readonly name: string = "Failure";
  readonly exitCode: ExitCode;
  readonly hint: string | undefined;
  readonly details: readonly string[];

  constructor(exitCode: ExitCode, sentence: string, options: FailureOptions = {}) {
    super(sentence, options.cause === undefined ? undefined : { cause: options.cause });
    this.exitCode = exitCode;
    this.hint = options.hint;
    this.details = options.details ?? [];
  }
}
