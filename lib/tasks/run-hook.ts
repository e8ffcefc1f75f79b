import type { ChildProcessByStdio } from "node:child_process";
import type { Readable } from "node:stream";
import { errorCode } from "../host/file-error.ts";
import { visible } from "../visible.ts";

export interface HookOptions {
  readonly signal: AbortSignal;
  /** Takes each line that a hook prints. */
  readonly onLine: (line: string) => void;
}

/** One command to run. */
export interface HookCall {
  readonly command: readonly [program: string, ...args: string[]];
  readonly timeoutSeconds: number;
  /** Its environment, besides its search path. */
  readonly env: Readonly<Record<string, string>>;
  /** For an exit code that means there is nothing to do, now or later: why. Undefined for any other. */
  readonly whyNothing?: (exitCode: number) => string | undefined;
}

/** The outcome of a hook: why it failed, or why there was nothing to do, in a few words. Neither if it succeeded. */
export interface HookOutcome {
  readonly failure?: string;
  readonly note?: string;
}

/** How long to wait for a hook's last lines if a process that it started keeps its output open. */
const lastWordsMs = 500;

/**
 * Runs a hook. If it hangs, or if the run ends, kills it and everything it has started. If there was nothing to do, its
 * output is dropped.
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

/** @returns its exit code, or a sentence why it has none */
async function runCommand(
  { command: [program, ...args], timeoutSeconds, env }: HookCall,
  { signal, onLine }: HookOptions,
): Promise<number | string> {
  const tooLate = "the run ended before the hook did";
  const { spawn } = await import("node:child_process");
  // Not before the import: a signal that came meanwhile would not be heard.
  if (signal.aborted) return tooLate;
  let child: ChildProcessByStdio<null, Readable, Readable>;
  try {
    child = spawn(program, args, {
      // Not our own environment, which may hold a token.
      env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ...env },
      stdio: ["ignore", "pipe", "pipe"],
      // A process group of its own, so that everything it starts can be killed with it.
      detached: true,
    });
  } catch (error) {
    // Some errors are thrown here, others come with the event below.
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
    // Not "close": that would wait for services that it has started and that keep its output open.
    child.once("exit", (code, by) => void done(code ?? `it ended with ${by}`));
  });
}

function cantStart(error: unknown): string {
  const why =
    errorCode(error) === "ENOEXEC"
      ? "it is not a program for this machine; a script has to begin with a line like #!/bin/sh"
      : error instanceof Error
        ? error.message
        : String(error);
  return `it can't be started: ${why}`;
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // it has just ended
  }
}

/** Longer lines are split, so that an endless line can't fill the memory. */
const longestLine = 4096;

/** Passes each line on. Resolves when the stream has ended. */
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
