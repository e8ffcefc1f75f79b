import { fstatSync, writeSync } from "node:fs";
import { Failure } from "../failure.ts";
import { errorCode, fileError } from "../host/file-error.ts";
import { visible, visibleJson, visibleLines } from "../visible.ts";
import { paintPattern } from "./colour.ts";
import { ExitCode, exitCodeOf } from "./exit-code.ts";
import { fitLine } from "./help.ts";

const levels = ["errors", "information", "debug"] as const;
export type LogLevel = 0 | 1 | 2;

/** What a person, or the journal, reads. Nothing here is ever given a secret. */
export interface Log {
  readonly level: LogLevel;
  /** What was done: standard output, from level 1. */
  done(line: string): void;
  /** What one should know beside it: standard error, from level 1. */
  note(line: string): void;
  /** Each step: standard error, at level 2. */
  debug(line: string): void;
  /** What went wrong: standard error, at each level. */
  error(failure: unknown): void;
}

/**
 * A log whose lines on standard error start with the command's name.
 *
 * Rules for sentences: one line, lower case, no full stop at the end; what to do about it on a line below.
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

/** A terminal would break a line in the middle of a word; whatever else reads it has it whole. */
function fitted(line: string): readonly string[] {
  const columns = mayBeTerminal() ? process.stdout.columns : undefined;
  return columns ? fitLine(line, columns) : [line];
}

/** The stream of standard output takes its time to build, and a unit needs none. */
function mayBeTerminal(): boolean {
  try {
    return fstatSync(1).isCharacterDevice();
  } catch {
    return false;
  }
}

/** What went wrong, in a sentence, and what to do about it. */
function wordsOf(failure: unknown): { readonly message: string; readonly hint: string | undefined } {
  if (failure instanceof Failure) return failure;
  return {
    message: `a fault in this tool: ${failure instanceof Error ? failure.message : String(failure)}`,
    hint: "run it with --log-level debug for where it happened, and report it",
  };
}

/** What went wrong, for a machine. Its hint is null where there is none. */
function failureJson(failure: unknown, exitCode: number = exitCodeOf(failure)) {
  const { message, hint = null } = wordsOf(failure);
  return { message, hint, exitCode };
}

/** The same in a report of what was done before that: its `error` was the sentence from the beginning. */
export function stoppedJson(failure: unknown) {
  const { message, ...more } = failureJson(failure);
  return { error: message, ...more };
}

/** Nobody reads a longer line to its end, and a journal breaks it. */
const longestLine = 16_384;

function short(line: string): string {
  return line.length <= longestLine ? line : `${line.slice(0, longestLine)}…`;
}

/** Where an error happened. Its stack begins with its words, which are others' and may look like frames of it. */
function framesOf({ message, stack = "" }: Error): string[] {
  const words = stack.indexOf(message);
  return stack
    .slice(words === -1 ? 0 : words + message.length)
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.startsWith("at "));
}

/** Lines for a person on standard error. */
export function printErrors(text: string): void {
  console.error(visibleLines(text));
}

/** Lines for a person on standard output: a help page, say. */
export function printLines(text: string): void {
  printText(`${visibleLines(text)}\n`);
}

/** Prints an answer for a machine. Where that can't be done, `tellOutput` tells it at the end of the run. */
export function printJson(value: unknown, indent = 0): void {
  printText(`${visibleJson(JSON.stringify(value, undefined, indent))}\n`);
}

/** The same of a run that failed, unless it has printed its report: a program reads one object, and no more. */
export function printFailure(failure: unknown, exitCode: number): void {
  if (!hasPrinted) printJson({ error: failureJson(failure, exitCode) });
}

/** Whether anything was printed on standard output, or was to be. */
let hasPrinted = false;

/** Why standard output could not be written: the first error, after which nothing more is. */
let lost: unknown;

/**
 * Writes a text to standard output as it is, with no line feed added. What is not ours to the letter goes through
 * `visible` first: all but a secret that is led to a file or a pipe.
 */
export function printText(answer: string): void {
  hasPrinted = true;
  if (lost !== undefined) return;
  const text = Buffer.from(answer);
  try {
    for (let done = 0; done < text.length; ) done += writeSome(text, done);
  } catch (error) {
    // The work that it speaks of goes on: to stop in the middle of it would help nobody.
    lost = error;
  }
}

/**
 * The end of a run: tells that standard output is not whole, where it is not. A reader that has gone (`| head -1`) has
 * read what it wanted.
 *
 * @param code what came of the work itself
 * @returns that, or (file) where the work went well and nobody could read of it
 */
export function tellOutput(code: ExitCode, log: Log): ExitCode {
  if (lost === undefined || errorCode(lost) === "EPIPE") return code;
  const failure = fileError("file", "write to", "/dev/stdout", lost);
  log.error(failure);
  return code < ExitCode.usage ? exitCodeOf(failure) : code;
}

/** How much a reader that takes its time had room for. */
function writeSome(text: Buffer, from: number): number {
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
