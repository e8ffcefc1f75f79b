import { readFileSync } from "node:fs";

/** The cost of a job: the sum of its commands. */
export interface Cost {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly memoryMiB: number;
}

export interface Job {
  readonly name: string;
  /** The commands that do the job, one after the other. */
  readonly commands: ReadonlyArray<readonly string[]>;
}

export async function run(
  command: readonly string[],
  env: Record<string, string>,
  isWatched = false,
): Promise<Cost> {
  const began = performance.now();
  const child = Bun.spawn([...command], { env, stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  let isOver = false;
  const memory = isWatched ? watchMemory(child.pid, () => isOver) : 0;
  const [errors, code] = await Promise.all([child.stderr.text(), child.exited]);
  isOver = true;
  const wallMs = performance.now() - began;
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${errors}`);
  return {
    wallMs,
    cpuMs: Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1000,
    memoryMiB: await memory,
  };
}

/** The most memory that a program holds, sampled every millisecond. The system's own number includes its parent's. */
async function watchMemory(pid: number, isOver: () => boolean): Promise<number> {
  let most = 0;
  while (!isOver()) {
    try {
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      most = Math.max(most, Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024);
    } catch {
      break; // it has ended
    }
    await Bun.sleep(1);
  }
  return most;
}

async function measure(job: Job, env: Record<string, string>, isWatched: boolean): Promise<Cost> {
  const parts: Cost[] = [];
  for (const command of job.commands) parts.push(await run(command, env, isWatched));
  return {
    wallMs: parts.reduce((sum, { wallMs }) => sum + wallMs, 0),
    cpuMs: parts.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
    memoryMiB: Math.max(...parts.map(({ memoryMiB }) => memoryMiB)),
  };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

export type JobWithEnv = readonly [Job, Record<string, string>];

export async function takeTurns(
  jobs: readonly JobWithEnv[],
  count: number,
  isWatched: boolean,
): Promise<Cost[][]> {
  const costs = jobs.map((): Cost[] => []);
  for (let round = 0; round < count; round++) {
    for (const [i, [job, env]] of jobs.entries()) costs[i]?.push(await measure(job, env, isWatched));
  }
  return costs;
}
