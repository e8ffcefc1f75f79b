import type { ArgsDef } from "citty";
import { type Arguments, letter } from "./arguments.ts";
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

/**
 * The flags of all commands that take no value, as they are written. This loads every command, so it is asked only
 * where a flag comes before the command's name.
 */
async function switchesOf({ commands }: Tool): Promise<ReadonlySet<string>> {
  const pages = await Promise.all(Object.values(commands).map(async (load) => (await load()).page));
  const flags = pages.flatMap(({ args }) => Object.entries(args));
  return new Set([
    ...["--help", "-h", "--version", "-v"],
    ...flags.flatMap(([name, arg]) => (arg.type === "boolean" ? [`--${name}`, `-${letter(arg)}`] : [])),
  ]);
}

/**
 * Which word names the command, and what the other words are: as with the Go tool, flags may come before it.
 */
export async function splitWords(
  tool: Tool,
  words: readonly string[],
): Promise<{ readonly name?: string; readonly rest: readonly string[] }> {
  const [first, ...others] = words;
  if (first !== undefined && !first.startsWith("-")) return { name: first, rest: others };
  const switches = first === undefined || first === "--" ? new Set<string>() : await switchesOf(tool);
  for (let i = 0; i < words.length && words[i] !== "--"; i++) {
    const word = words[i] ?? "";
    if (!word.startsWith("-")) return { name: word, rest: words.toSpliced(i, 1) };
    // `--log-level 2`, `-l 2`; but `--log-level=2`, `-l2`
    const hasValue = word.startsWith("--") ? word.includes("=") : word.length > 2;
    if (!hasValue && !word.startsWith("--no-") && !switches.has(word)) i++;
  }
  return { rest: words };
}
