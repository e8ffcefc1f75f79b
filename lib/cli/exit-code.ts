import { Failure, type FailureKind } from "../failure.ts";

/**
 * Exit codes, from sysexits.h if it has one that fits. Units and CI rely on them.
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
  /** EX_DATAERR: a file or an answer is invalid. */
  data: 65,
  /** EX_UNAVAILABLE: the server can't serve this, and trying again won't help. */
  unavailable: 69,
  /** EX_SOFTWARE: a bug of ours. */
  software: 70,
  /** EX_CANTCREAT: a file, or standard output, can't be used. */
  cantCreate: 73,
  /** EX_TEMPFAIL: try again later. */
  tryLater: 75,
  /** EX_NOPERM: the token, or the user, may not do this. */
  noPermission: 77,
  /** EX_CONFIG: the configuration is wrong. */
  config: 78,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

const codes: Readonly<Record<FailureKind, ExitCode>> = {
  usage: ExitCode.usage,
  data: ExitCode.data,
  unavailable: ExitCode.unavailable,
  internal: ExitCode.software,
  file: ExitCode.cantCreate,
  temporary: ExitCode.tryLater,
  permission: ExitCode.noPermission,
  config: ExitCode.config,
};

/** The exit code of a run that ends with this error. */
export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof Failure ? codes[error.kind] : ExitCode.software;
}

/** The kind of failure behind the exit code of an earlier run; undefined if no kind has that code. */
export function failureKindOf(exitCode: number): FailureKind | undefined {
  return (Object.keys(codes) as FailureKind[]).find((kind) => codes[kind] === exitCode);
}

/**
 * The worst of several exit codes. A temporary failure counts as the worst: units retry because of it, and one manifest
 * that stays broken must not keep the others from being retried. Once the retry succeeds, the other failure is
 * reported.
 */
export function worstExitCode(codes: readonly ExitCode[]): ExitCode {
  const order: readonly ExitCode[] = [
    ExitCode.ok,
    ExitCode.wouldChange,
    ExitCode.wrong,
    ExitCode.unavailable,
    ExitCode.noPermission,
    ExitCode.cantCreate,
    ExitCode.data,
    ExitCode.config,
    ExitCode.usage,
    ExitCode.software,
    ExitCode.tryLater,
  ];
  return codes.reduce(
    (worst, code) => (order.indexOf(code) > order.indexOf(worst) ? code : worst),
    ExitCode.ok,
  );
}
