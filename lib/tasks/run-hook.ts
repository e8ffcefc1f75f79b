import type { ChildProcessByStdio } from "node:child_process";
import type { Readable } from "node:stream";
import { errorCode } from "../host/file-error.ts";
import { visible } from "../visible.ts";

export interface HookOptions {
  readonly signal: AbortSignal;
  /** Told each line that a hook prints. */
  readonly onLine: (line: string) => void;
}

/** One command to run. */
export interface HookCall {
  readonly command: readonly [program: string, ...args: string[]];
  readonly timeoutSeconds: number;
  /** What it is told, beside its search path. */
  readonly env: Readonly<Record<string, string>>;
  /** Why an exit code leaves nothing to do, now and later; undefined for one of which that is not so. */
  readonly whyNothing?: (exitCode: number) => string | undefined;
}

/** What came of a hook, in a few words: why it failed, or why there was nothing to do; neither where it was done. */
export interface HookOutcome {
  readonly failure?: string;
  readonly note?: string;
}

/** For what a hook said last, when something that it left running holds its output open. */
const lastWordsMs = 500;

/**
 * Runs a hook, and kills it with all that it started when it hangs, or when the run ends.
 * Where there is nothing to do, its own words are left out.
 */
export async function runHook(call: HookCall, options: HookOptions): Promise<HookOutcome> {
  const { whyNothing } = call;
  if (whyNothing === undefined) return outcomeOf(await runCommand(call, options));
  const lines: string[] = [];
  const ended = await runCommand(call, { ...options, onLine: (line) => lines.push(line) });
  const note = typeof ended === "number" ? whyNothing(ended) : undefined;
  if (note !== undefined) return { note };
  for (const line of lines) options.onLine(line);
  return outcomeOf(ended);
}

function outcomeOf(ended: number | string): HookOutcome {
  if (ended === 0) return {};
  return { failure: typeof ended === "number" ? `it ended with ${ended}` : ended };
}

/** @returns its exit code; else why it has none */
async function runCommand(
  { command: [program, ...args], timeoutSeconds, env }: HookCall,
  { signal, onLine }: HookOptions,
): Promise<number | string> {
  const tooLate = "the run ended before it";
  if (signal.aborted) return tooLate;
  const { spawn } = await import("node:child_process");
  let child: ChildProcessByStdio<null, Readable, Readable>;
  try {
    child = spawn(program, args, {
      // Not our own: a token of the environment is none of theirs.
      env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ...env },
      stdio: ["ignore", "pipe", "pipe"],
      // A group of its own, so that what it started ends with it.
      detached: true,
    });
  } catch (error) {
    // Some faults are thrown, and others are told by the event below.
    return cantStart(error);
  }
  return await new Promise((resolve) => {
    const output = Promise.all([child.stdout, child.stderr].map((stream) => forwardLines(stream, onLine)));
    let cutOff: string | undefined;
    const cut = (why: string) => {
      cutOff = why;
      killGroup(child.pid);
    };
    const timer = setTimeout(() => cut(`it did not end within ${timeoutSeconds} s`), timeoutSeconds * 1000);
    const stop = () => cut(tooLate);
    signal.addEventListener("abort", stop, { once: true });
    const done = async (ended: number | string) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      await Promise.race([output, Bun.sleep(lastWordsMs)]);
      resolve(cutOff ?? ended);
    };
    child.once("error", (error) => void done(cantStart(error)));
    // Not "close", for which a service that it has started, and that keeps its output, would have to end.
    child.once("exit", (code, by) => void done(code ?? `it ended with ${by}`));
  });
}

function cantStart(error: unknown): string {
  const why =
    errorCode(error) === "ENOEXEC"
      ? "it is no program of this machine; a script begins with a line like #!/bin/sh"
      : error instanceof Error
        ? error.message
        : String(error);
  return `it can't be started: ${why}`;
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // it has ended just now
  }
}

/** A line without an end does not fill the memory. */
const longestLine = 4096;

/** Resolves when there is no more. */
function forwardLines(stream: Readable, onLine: (line: string) => void): Promise<void> {
  const tell = (line: string) => {
    if (line !== "") onLine(visible(line));
  };
  let rest = "";
  stream.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) tell(line);
    if (rest.length < longestLine) return;
    tell(rest);
    rest = "";
  });
  return new Promise((resolve) => {
    stream.once("close", () => {
      tell(rest);
      rest = "";
      resolve();
    });
  });
}
