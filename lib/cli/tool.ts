import { basename } from "node:path";
import type { ArgsDef } from "citty";
import { ExitCode } from "../failure.ts";
import type { Arguments } from "./arguments.ts";
import type { HelpPage } from "./help.ts";
import { runScript, type Script } from "./script.ts";

/** A script as one of many: what its help says, and how it is run. */
export interface Command {
  readonly page: HelpPage;
  run(words: readonly string[]): Promise<void>;
}

/** The commands of one executable, each loaded when it is called. */
export type Commands = Readonly<Record<string, () => Promise<Command>>>;

export function command<T extends ArgsDef & Arguments>(script: Script<T>): Command {
  return { page: script, run: (words) => runScript(script, words) };
}

/**
 * Runs the command whose name the executable was called by (a link's, say), else the one that the first word names.
 */
export async function runTool(
  commands: Commands,
  calledBy: string = basename(process.argv0),
  words: readonly string[] = process.argv.slice(2),
): Promise<void> {
  const byLink = Object.hasOwn(commands, calledBy);
  const [name = "", ...rest] = byLink ? [calledBy, ...words] : words;
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load !== undefined) return await (await load()).run(rest);
  console.error(`vault-helper: there is no such command\n  it is one of ${Object.keys(commands).join(", ")}`);
  process.exit(ExitCode.usage);
}
