import type { ArgsDef } from "citty";
import { type Arguments, letter } from "./arguments.ts";
import type { HelpPage } from "./help.ts";
import { runScript, type Script } from "./script.ts";

/** A script as one command of a tool: its help, and how to run it. */
export interface Command {
  readonly page: HelpPage;
  /** @param calledAs what was typed to call it */
  run(words: readonly string[], calledAs: string): Promise<void>;
}

/** The commands of one executable. Each is loaded only when it is called. */
export type Commands = Readonly<Record<string, () => Promise<Command>>>;

/** Many commands in one executable. */
export interface Tool {
  readonly name: string;
  /** One sentence, without its full stop. */
  readonly description: string;
  readonly commands: Commands;
  /** Other names of commands. */
  readonly aliases: Readonly<Record<string, string>>;
  /** The help's headings, each with the commands below it. */
  readonly groups: Readonly<Record<string, readonly string[]>>;
  /** Command lines, each with its purpose. */
  readonly examples: HelpPage["examples"];
}

/** A script as a command of a tool. */
export function command<T extends ArgsDef & Arguments>(script: Script<T>): Command {
  return { page: script, run: (words, calledAs) => runScript(script, words, calledAs) };
}

/** The command with a name or an alias; undefined if there is none. */
export function findCommand({ commands, aliases }: Tool, name: string): Commands[string] | undefined {
  // Own ones only: every object has a constructor.
  const full = Object.hasOwn(aliases, name) ? (aliases[name] ?? name) : name;
  return Object.hasOwn(commands, full) ? commands[full] : undefined;
}

/**
 * The boolean flags of all commands, as they are written. This loads every command, so it is called only when a flag
 * comes before the command's name.
 */
async function booleanFlags({ commands }: Tool): Promise<ReadonlySet<string>> {
  const pages = await Promise.all(Object.values(commands).map(async (load) => (await load()).page));
  const flags = pages.flatMap(({ args }) => Object.entries(args));
  return new Set([
    ...["--help", "-h", "--version", "-v"],
    ...flags.flatMap(([name, arg]) => (arg.type === "boolean" ? [`--${name}`, `-${letter(arg)}`] : [])),
  ]);
}

/**
 * Finds the word that names the command. Flags may come before it, as in the Go tool.
 *
 * @returns the name, and all other words in their order
 */
export async function splitWords(
  tool: Tool,
  words: readonly string[],
): Promise<{ readonly name?: string; readonly rest: readonly string[] }> {
  const [first, ...others] = words;
  if (first !== undefined && !first.startsWith("-")) return { name: first, rest: others };
  const booleans = first === undefined || first === "--" ? new Set<string>() : await booleanFlags(tool);
  for (let i = 0; i < words.length && words[i] !== "--"; i++) {
    const word = words[i] ?? "";
    if (!word.startsWith("-")) return { name: word, rest: words.toSpliced(i, 1) };
    // `--log-level 2`, `-l 2`; but `--log-level=2`, `-l2`
    const hasValue = word.startsWith("--") ? word.includes("=") : word.length > 2;
    if (!hasValue && !word.startsWith("--no-") && !booleans.has(word)) i++;
  }
  return { rest: words };
}
