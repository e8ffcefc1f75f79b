import { Failure, type FailureKind } from "../failure.ts";

const meaning: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "the system does not permit it",
  ENOENT: "no such file or folder",
  ENOTDIR: "a part of the path is not a folder",
  EISDIR: "it is a folder",
  ELOOP: "it is a symbolic link",
  EEXIST: "something is there already",
  ENOTEMPTY: "the folder is not empty",
  ENOSPC: "the disk is full",
  EDQUOT: "the quota is used up",
  EROFS: "the file system is read-only",
  EIO: "the disk reports an error",
  EMFILE: "too many files are open",
  ENFILE: "too many files are open",
  ENAMETOOLONG: "the name is too long",
  EXDEV: "it is on another file system",
  EBUSY: "it is a mount of its own, or in use",
};

/**
 * A Failure for a system call on a file. The message names the action, the path and the reason.
 *
 * @param tried the action: `write`, `read`
 */
export function fileError(
  kind: FailureKind,
  tried: string,
  path: string,
  cause: unknown,
  hint?: string,
): Failure {
  if (cause instanceof Failure) return cause;
  const code = errorCode(cause);
  const why = meaning[code] ?? systemWords(cause);
  return new Failure(kind, `can't ${tried} ${printable(path)}: ${why}${code === "" ? "" : ` (${code})`}`, {
    cause,
    hint: hint ?? hints[code],
  });
}

const hints: Readonly<Record<string, string>> = {
  EBUSY: "a file that is a mount of its own can't be replaced; mount its folder instead",
};

/** The system's message without the path at its end, which may be one of ours like `/proc/self/fd/6`. */
function systemWords(cause: unknown): string {
  const said = cause instanceof Error ? cause.message : String(cause);
  return /^E[A-Z0-9]+: (.+?), [a-z0-9_]+(?: '|$)/s.exec(said)?.[1] ?? said;
}

/** The code of a system error, like `ENOENT`; empty for other errors. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** A path for messages. Quoted if it has blanks or characters that can't be seen. */
export function printable(path: string): string {
  // Building the Unicode pattern takes time, and most paths don't need it.
  const isPlain = /^[!-~]+$/.test(path) || /^[\p{L}\p{N}\p{P}\p{S}]+$/u.test(path);
  return isPlain ? path : JSON.stringify(path);
}

/** Whether a failure means that this user may not read a file. Then everything that needs the file fails alike. */
export function isDenied(error: unknown): boolean {
  return error instanceof Error && ["EACCES", "EPERM"].includes(errorCode(error.cause));
}
