import { snippet } from "./snippet.ts";

export interface ChildLimits {
  /** Ends one that works on and on; what else this machine does makes no difference to it. @default 10 */
  readonly cpuSeconds?: number;
  /** Ends one that waits for ever. @default 30 */
  readonly seconds?: number;
}

/**
 * Runs a few lines of `snippet`, for a test that would otherwise fail by never ending: no time limit of the test's can
 * end a synchronous call in its own process.
 *
 * @returns what the lines print
 * @throws Error when they fail, or a limit ends them
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
