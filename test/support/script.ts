import { join } from "node:path";
import { ensureBuilt } from "../../tools/build.ts";

export interface ScriptResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ScriptOptions {
  /** The whole environment. Nothing of the test's own gets in, such as a developer's VAULT_TOKEN. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Runs one of the compiled executables to its end. */
export async function runScript(
  name: string,
  args: readonly string[],
  options: ScriptOptions = {},
): Promise<ScriptResult> {
  return await runCommand([await scriptPath(name), ...args], options);
}

/** Longer than any test waits: what hangs, say at a FIFO, is not left behind for good. */
const hangsAfterMs = 300_000;

/** Runs a command to its end. */
export async function runCommand(
  command: readonly string[],
  options: ScriptOptions = {},
): Promise<ScriptResult> {
  const child = Bun.spawn([...command], {
    env: { PATH: process.env.PATH ?? "", HOME: "/nonexistent", ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: hangsAfterMs,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

let built: Promise<string> | undefined;

export async function scriptPath(name: string): Promise<string> {
  built ??= ensureBuilt();
  return join(await built, name);
}
