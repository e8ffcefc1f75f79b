import { basename } from "node:path";
import type { ArgsDef } from "citty";
import type { Arguments } from "./arguments.ts";
import type { HelpPage } from "./help.ts";
import { runScript, type Script } from "./script.ts";

/** A script as one of many: what its help says, and how it is run. */
export interface Command {
  readonly page: HelpPage;
  /** @param calledAs what was typed to call it */
  run(words: readonly string[], calledAs: string): Promise<void>;
}

/** The commands of one executable, each loaded when it is called. */
export type Commands = Readonly<Record<string, () => Promise<Command>>>;

/** Many commands in one executable. */
export interface Tool {
  readonly name: string;
  /** One sentence, without its full stop. */
  readonly description: string;
  readonly commands: Commands;
  /** Other names of commands. */
  readonly aliases: Readonly<Record<string, string>>;
  /** Headings of its help, and which commands stand under each. */
  readonly groups: Readonly<Record<string, readonly string[]>>;
  /** A command line, and what it is for. */
  readonly examples: HelpPage["examples"];
}

/** A script as a command of a tool. */
export function command<T extends ArgsDef & Arguments>(script: Script<T>): Command {
  return { page: script, run: (words, calledAs) => runScript(script, words, calledAs) };
}

/** The command of a name or an alias; undefined where there is none. */
export function findCommand({ commands, aliases }: Tool, name: string): Commands[string] | undefined {
  // Own ones only: every object has a constructor.
  const full = Object.hasOwn(aliases, name) ? (aliases[name] ?? name) : name;
  return Object.hasOwn(commands, full) ? commands[full] : undefined;
}

/** Flags that take no value, of every command: to ask each for its own would load them all. */
const switches = [
  ...[
    "--help",
    "-h",
    "--version",
    "-v",
    "--json",
    "--dry-run",
    "--check",
    "--print-policy",
    "--narrow",
    "--if-due",
    "--force",
  ],
  ...["--refresh-ca", "--ca-chain", "--embed", "--merge", "--offline", "--revoke-hosts"],
  ...["--wait-signal", "-w"],
];

/**
 * Which word names the command, and what the others are: as with the Go tool, flags may come before it.
 */
export function splitWords(words: readonly string[]): {
  readonly name?: string;
  readonly rest: readonly string[];
} {
  for (let i = 0; i < words.length && words[i] !== "--"; i++) {
    const word = words[i] ?? "";
    if (!word.startsWith("-")) return { name: word, rest: words.toSpliced(i, 1) };
    // `--log-level 2`, `-l 2`; but `--log-level=2`, `-l2`
    const hasValue = word.startsWith("--") ? word.includes("=") : word.length > 2;
    if (!hasValue && !word.startsWith("--no-") && !switches.includes(word)) i++;
  }
  return { rest: words };
}

/**
 * Runs the command whose name the executable was called by (a link's, say), else the one that the first word names.
 */
export async function runTool(
  tool: Tool,
  calledBy: string = basename(process.argv0),
  words: readonly string[] = process.argv.slice(2),
): Promise<void> {
  const byLink = Object.hasOwn(tool.commands, calledBy) ? tool.commands[calledBy] : undefined;
  if (byLink !== undefined) return await (await byLink()).run(words, calledBy);
  const { name, rest } = splitWords(words);
  const load = name === undefined ? undefined : findCommand(tool, name);
  if (load !== undefined) return await (await load()).run(rest, `${tool.name} ${name}`);
  const { answer } = await import("./tool-answers.ts");
  process.exit(await answer(tool, name, rest));
}
