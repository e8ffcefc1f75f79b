import { snippet } from "./snippet.ts";

export interface ChildLimits {
  /** Processor time, which ends a child that works for ever. Other work on this machine does not count. @default 10 */
  readonly cpuSeconds?: number;
  /** Time that ends a child that waits for ever. @default 30 */
  readonly seconds?: number;
}

/**
 * Runs a few lines of `snippet`, for a test that would otherwise fail by never ending. A test's own time limit can't
 * end a synchronous call in its process.
 *
 * @returns the output of the lines
 * @throws Error if they fail or a limit ends them
 */
export async function runInChild(
  names: string,
  from: string,
  code: string,
  { cpuSeconds = 10, seconds = 30 }: ChildLimits = {},
): Promise<string> {
  const limited = ["/bin/sh", "-c", `ulimit -t ${cpuSeconds}; exec "$@"`, "sh"];
  const child = Bun.spawn([...limited, ...snippet(names, from, code)], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: seconds * 1000,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  await child.exited;
  if (child.exitCode === 0) return stdout;
  const end = child.signalCode === null ? `with ${child.exitCode}` : `by ${child.signalCode}`;
  throw new Error(`the child ended ${end}: ${stderr}`);
}
