import { fstatSync, statSync, writeSync } from "node:fs";
import { Failure } from "../failure.ts";
import { errorCode, fileError } from "../host/file-error.ts";
import { visible, visibleJson, visibleLines } from "../visible.ts";
import { paintPattern } from "./colour.ts";
import { ExitCode, exitCodeOf } from "./exit-code.ts";
import { fitLine } from "./wrap.ts";

const levels = ["errors", "information", "debug"] as const;
export type LogLevel = 0 | 1 | 2;

/** What a person or the journal reads. No secret is ever passed to it. */
export interface Log {
  readonly level: LogLevel;
  /** What was done: standard output, from level 1. */
  done(line: string): void;
  /** What else a person should know: standard error, from level 1. */
  note(line: string): void;
  /** Every step: standard error, at level 2. */
  debug(line: string): void;
  /** What went wrong: standard error, at every level. */
  error(failure: unknown): void;
}

/**
 * A log whose lines on standard error start with the command's name.
 *
 * Rules for messages: one line, lower case, no full stop at the end. A hint on what to do goes on a line below.
 */
export function createLog(name: string, level: LogLevel): Log {
  const print = (line: string) => printErrors(`${name}: ${visible(short(line))}`);
  const below = (line: string) => printErrors(`  ${visible(short(line))}`);
  return {
    level,
    done(line) {
      if (level < 1) return;
      for (const it of fitted(visible(short(line), paintPattern))) printText(`${it}\n`);
    },
    note: (line) => (level >= 1 ? print(line) : undefined),
    debug: (line) => (level >= 2 ? print(line) : undefined),
    error(failure) {
      const { message, hint } = wordsOf(failure);
      print(message);
      if (failure instanceof Failure) for (const line of failure.details) below(line);
      if (hint !== undefined) below(hint);
      if (level >= 2 && failure instanceof Error) for (const frame of framesOf(failure)) below(frame);
    },
  };
}

/** Breaks a line between words on a terminal, which would break it in the middle of one. Elsewhere it stays whole. */
function fitted(line: string): readonly string[] {
  const columns = mayBeTerminal() ? process.stdout.columns : undefined;
  return columns ? fitLine(line, columns) : [line];
}

/**
 * Asks without `process.stdout`, because that is slow to create and no unit needs it. A unit's output may go to
 * /dev/null, which is also a device.
 */
function mayBeTerminal(): boolean {
  try {
    const output = fstatSync(1);
    return output.isCharacterDevice() && output.rdev !== statSync("/dev/null").rdev;
  } catch {
    return false;
  }
}

/** What went wrong, as a sentence, and what to do about it. */
function wordsOf(failure: unknown): { readonly message: string; readonly hint: string | undefined } {
  if (failure instanceof Failure) return failure;
  return {
    message: `a fault in this tool: ${failure instanceof Error ? failure.message : String(failure)}`,
    hint: "run it with --log-level debug to see where it happened, and report it",
  };
}

/** What went wrong, for machines. The hint is null if there is none. */
function failureJson(failure: unknown, exitCode: number = exitCodeOf(failure)) {
  const { message, hint = null } = wordsOf(failure);
  return { message, hint, exitCode };
}

/** The same as part of a report on what was done before. There, the message has been called `error` since 1.0.0. */
export function stoppedJson(failure: unknown) {
  const { message, ...more } = failureJson(failure);
  return { error: message, ...more };
}

/** Nobody reads a longer line to its end, and the journal would split it. */
const longestLine = 16_384;

function short(line: string): string {
  return line.length <= longestLine ? line : `${line.slice(0, longestLine)}…`;
}

/** Where an error happened. Its stack starts with its message, which may come from others and look like a frame. */
function framesOf({ message, stack = "" }: Error): string[] {
  const words = stack.indexOf(message);
  return stack
    .slice(words === -1 ? 0 : words + message.length)
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.startsWith("at "));
}

/** Prints lines for people on standard error. */
export function printErrors(text: string): void {
  console.error(visibleLines(text));
}

/** Prints lines for people on standard output, such as a help page. */
export function printLines(text: string): void {
  printText(`${visibleLines(text)}\n`);
}

/** Prints an answer for machines. If that fails, `tellOutput` says so at the end of the run. */
export function printJson(value: unknown, indent = 0): void {
  printText(`${visibleJson(JSON.stringify(value, undefined, indent))}\n`);
}

/** Prints a failure as JSON, unless a report has been printed already: a program expects exactly one object. */
export function printFailure(failure: unknown, exitCode: number): void {
  if (!hasPrinted) printJson({ error: failureJson(failure, exitCode) });
}

/** Whether anything was printed on standard output, or would have been. */
let hasPrinted = false;

/** Why standard output could not be written: the first error. Nothing more is written after it. */
let lost: unknown;

/**
 * Writes a text to standard output unchanged, with no line feed added. Callers pass text from others through `visible`
 * first, except for a secret that goes to a file or a pipe.
 */
export function printText(answer: string): void {
  hasPrinted = true;
  if (lost !== undefined) return;
  const text = new TextEncoder().encode(answer);
  try {
    for (let done = 0; done < text.length; ) done += writeSome(text, done);
  } catch (error) {
    // The run goes on: stopping in the middle of its work would help nobody.
    lost = error;
  }
}

/**
 * Ends a run's output: logs a failure if standard output could not be written. A reader that has gone (`| head -1`) is
 * no failure, because it has read what it wanted.
 *
 * @param code the exit code of the work itself
 * @returns that code; or the one for (file) if the work succeeded and its output is incomplete
 */
export function tellOutput(code: ExitCode, log: Log): ExitCode {
  if (lost === undefined || errorCode(lost) === "EPIPE") return code;
  const failure = fileError("file", "write to", "/dev/stdout", lost);
  log.error(failure);
  return code < ExitCode.usage ? exitCodeOf(failure) : code;
}

/** Writes as much as a slow reader has room for. @returns the number of bytes */
function writeSome(text: Uint8Array, from: number): number {
  try {
    return writeSync(1, text, from);
  } catch (error) {
    if (errorCode(error) !== "EAGAIN") throw error;
    Bun.sleepSync(5);
    return 0;
  }
}

/** @throws Failure (usage) for anything but 0, 1, 2 or a level's name */
export function parseLogLevel(text: string): LogLevel {
  const word = text.toLowerCase();
  const index = /^[012]$/.test(word)
    ? Number(word)
    : levels.findIndex((name) => word.length >= 4 && name.startsWith(word));
  if (index === 0 || index === 1 || index === 2) return index;
  throw new Failure("usage", `${JSON.stringify(text)} is not a log level`, {
    hint: "use 0 (errors), 1 (information) or 2 (debug)",
  });
}
