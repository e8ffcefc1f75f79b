import { resolve } from "node:path";
import { exitCodeOf } from "../lib/cli/exit-code.ts";
import { Failure } from "../lib/failure.ts";

/** The folder of the clone. */
export const ROOT = resolve(import.meta.dir, "..");

/** Runs a tool and exits with the code that it returns. An error is printed as a sentence, without a stack. */
export async function runMain(main: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await main();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    if (error instanceof Failure) for (const line of error.details) console.error(line);
    if (error instanceof Failure && error.hint) console.error(error.hint);
    process.exitCode = error instanceof Failure ? exitCodeOf(error) : 1;
  }
}
