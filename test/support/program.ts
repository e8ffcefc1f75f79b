import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { gated, startKeeper } from "../../lib/server/keeper.ts";

/** A program that ends with this process, however that ends. */
export interface RunningProgram extends AsyncDisposable {
  /** The end of its log if it has ended; undefined while it runs. */
  ended(): string | undefined;
  /** Ends it like a service manager. */
  stop(): Promise<void>;
}

/** A program that does not end on SIGTERM within this time is killed. */
const stopsWithinMs = 10_000;

/** Starts a program in a folder. Its log is there too, in `log/NAME`. */
export async function startProgram(
  folder: string,
  path: string,
  args: readonly string[],
): Promise<RunningProgram> {
  const logFile = join(folder, "log", basename(path));
  mkdirSync(join(folder, "log"), { recursive: true });
  const log = openSync(logFile, "a", 0o600);
  const keeper = startKeeper();
  const child = Bun.spawn(gated([path, ...args]), {
    cwd: folder,
    env: { PATH: process.env.PATH ?? "", HOME: folder },
    stdin: "pipe",
    stdout: log,
    stderr: log,
    detached: true,
  });
  closeSync(log);
  await keeper.watch(child.pid);
  child.stdin.write("\n");
  await child.stdin.end();
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), stopsWithinMs);
    await child.exited;
    clearTimeout(timer);
    await keeper.forget();
    await keeper.close();
  };
  let ending: Promise<void> | undefined;
  const endOnce = (signal: NodeJS.Signals) => {
    ending ??= end(signal);
    return ending;
  };
  return {
    ended: () => (child.exitCode === null ? undefined : readFileSync(logFile, "utf8").slice(-3000)),
    stop: () => endOnce("SIGTERM"),
    [Symbol.asyncDispose]: () => endOnce("SIGKILL"),
  };
}
