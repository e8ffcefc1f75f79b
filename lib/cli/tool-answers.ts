import { version } from "../../package.json";
import { Failure } from "../failure.ts";
import { printable } from "../host/file-error.ts";
import { nearest } from "../suggest.ts";
import { checkArguments } from "./arguments.ts";
import { ExitCode, exitCodeOf } from "./exit-code.ts";
import { columns, exampleLines, renderHelp } from "./help.ts";
import { createLog, printErrors, printFailure, printLines, tellOutput } from "./log.ts";
import { asksForJson, commonArgs } from "./script.ts";
import { findCommand, splitWords, type Tool } from "./tool.ts";
import { wrap } from "./wrap.ts";

/** Words that the tool answers itself, without a command. */
const own = {
  help: "show this help, or the help of a command",
  version: "show the version",
} as const;

/** The heading of aliases in the help. */
const otherNames = "Aliases (names from the Go tool)";

/**
 * Answers words that call no command: `help`, `version`, `--help`, `--version`, and mistakes.
 *
 * @param name the word that should have named a command
 * @returns the exit code
 */
export async function answer(
  tool: Tool,
  name: string | undefined,
  rest: readonly string[],
): Promise<ExitCode> {
  const log = createLog(tool.name, 1);
  try {
    if (name === undefined && rest.length === 0) {
      printErrors(await renderTool(tool));
      return ExitCode.usage;
    }
    printLines(await answerOf(tool, name, rest));
    return tellOutput(ExitCode.ok, log);
  } catch (error) {
    log.error(error);
    if (asksForJson(rest)) printFailure(error, exitCodeOf(error));
    return exitCodeOf(error);
  }
}

async function answerOf(tool: Tool, name: string | undefined, rest: readonly string[]): Promise<string> {
  const asks = (...flags: string[]) => rest.some((word) => flags.includes(word));
  if (name === "help") return await helpOf(tool, rest);
  if (name === undefined && asks("--help", "-h")) return await renderTool(tool);
  if (name !== "version" && (name !== undefined || !asks("--version", "-v"))) throw noCommand(tool, name);
  checkArguments(commonArgs, rest, tool.name);
  return `${tool.name} ${version}`;
}

async function helpOf(tool: Tool, words: readonly string[]): Promise<string> {
  const { name, rest } = await splitWords(tool, words);
  checkArguments(commonArgs, rest, tool.name);
  if (name === undefined || Object.hasOwn(own, name)) return await renderTool(tool);
  const load = findCommand(tool, name);
  if (load === undefined) throw noCommand(tool, name);
  return renderHelp((await load()).page, `${tool.name} ${name}`);
}

/** A longer word is not printed: it may be a token that was given without its flag. A server's tokens are longer. */
const longestShown = 24;

function noCommand(tool: Tool, word: string | undefined): Failure {
  const names = [
    ...Object.keys(tool.commands),
    ...knownAliases(tool).map(([alias]) => alias),
    ...Object.keys(own),
  ];
  const near = word === undefined ? undefined : nearest(word, names);
  const isShown = word !== undefined && word.length <= longestShown && !/^(hv[sbr]|[sbr])\./.test(word);
  const named = isShown ? `there is no command ${printable(word)}` : "there is no such command";
  const sentence = word === undefined ? "a command is missing" : named;
  const hint = near === undefined ? "" : `did you mean ${near}? `;
  return new Failure("usage", sentence, { hint: `${hint}see ${tool.name} --help` });
}

function knownAliases({ aliases, commands }: Tool): ReadonlyArray<readonly [alias: string, name: string]> {
  return Object.entries(aliases).filter(([, name]) => Object.hasOwn(commands, name));
}

/** The tool's own help: one line for each command, in groups. */
async function renderTool(tool: Tool): Promise<string> {
  const { name, commands, groups } = tool;
  const descriptions = new Map<string, string>();
  for (const [command, load] of Object.entries(commands))
    descriptions.set(command, (await load()).page.description);
  const grouped = Object.values(groups).flat();
  const sections: ReadonlyArray<readonly [string, readonly string[]]> = [
    ...Object.entries(groups),
    ["Other", Object.keys(commands).filter((command) => !grouped.includes(command))],
  ];
  const aliases = knownAliases(tool).map(([alias, command]): [string, string] => [alias, command]);
  const width = Math.max(...["help [COMMAND]", ...Object.keys(commands)].map((command) => command.length));
  const section = (heading: string, rows: ReadonlyArray<readonly [string, string]>) =>
    rows.length === 0 ? [] : [`${heading}:`, ...columns(rows, width), ""];
  return [
    ...wrap(`${name}: ${tool.description}`),
    "",
    `Usage: ${name} COMMAND [flags] [arguments]`,
    "",
    ...sections.flatMap(([heading, members]) =>
      section(
        heading,
        members.flatMap((command) => {
          const description = descriptions.get(command);
          return description === undefined ? [] : [[command, description] as const];
        }),
      ),
    ),
    ...section("The tool itself", [
      ["help [COMMAND]", own.help],
      ["version", own.version],
    ]),
    ...section(otherNames, aliases),
    "Examples:",
    ...tool.examples.flatMap(([command, purpose]) => exampleLines(command, purpose)),
    "",
    ...wrap(`${name} help COMMAND shows a command's flags, defaults, variables and exit codes.`),
    ...wrap("A link to the executable that is named after a command runs that command."),
  ].join("\n");
}
