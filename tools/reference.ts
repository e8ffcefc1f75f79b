import {
  everyExitCode,
  everyVariable,
  exampleLines,
  flagSpelling,
  flagText,
  type Parts,
  partsOf,
  usageWords,
} from "../lib/cli/help.ts";
import { vaultHelper } from "../scripts/vault-helper.ts";
import { block, code, prose, sentence, table } from "./markdown.ts";
import { type CommandPage, callsOf, commandPages, examplesOf, groupsOf } from "./pages.ts";

/** The page docs/reference.md, made from the same data as the help and the man pages. */
export async function referencePage(): Promise<string> {
  const commands = await commandPages();
  const { name, examples } = vaultHelper;
  const sections = [
    "# Command reference",
    [
      "This page is made from the commands' own data, like `--help` and the man pages. `npm run format` writes it.",
      `All commands are in one executable, ${code(name)}. If a command has a link of its own name, that link runs it as well.`,
      "Flags may come before or after the arguments, as `--name VALUE` or `--name=VALUE`.",
    ].join("\n"),
    ...[...groupsOf(commands)].flatMap(([heading, members]) => [
      `**${prose(heading)}**`,
      table(
        ["command", "what it does"],
        members.map((command) => [link(command), prose(command.page.description)]),
      ),
    ]),
    exampleBlock(examples),
    ...commands.flatMap(commandSection),
    "## Environment",
    "Every command reads these variables. The `BAO_` form of a `VAULT_` variable goes first.",
    table(
      ["variable", "meaning"],
      everyVariable.map(([names, meaning]) => [names.split(", ").map(code).join(", "), prose(meaning)]),
    ),
    "## Exit codes",
    "Every command can end with these. If a command has more, its own section lists them.",
    exitCodeTable(everyExitCode),
  ];
  return `${sections.join("\n\n")}\n`;
}

function link({ page, words }: CommandPage): string {
  const [name = page.name, ...aliases] = words;
  return [`[${code(name)}](#${name})`, ...aliases.map(code)].join(", ");
}

function commandSection(command: CommandPage): string[] {
  const { page } = command;
  const { words, groups } = partsOf(page.args);
  const usage = ["[flags]", ...usageWords(words)].join(" ");
  return [
    `## ${page.name}`,
    prose(sentence(page.description)),
    block(callsOf(command).map((call) => `${call} ${usage}`)),
    ...(words.length === 0 ? [] : [wordTable(words)]),
    flagTable(groups),
    exampleBlock(examplesOf(command)),
    ...(page.exitCodes === undefined
      ? []
      : ["Exit codes besides [those of every command](#exit-codes):", exitCodeTable(page.exitCodes)]),
  ];
}

function wordTable(words: Parts["words"]): string {
  return table(
    ["argument", "meaning"],
    words.map(([name, { description = "" }]) => [code(`<${name}>`), prose(description)]),
  );
}

function flagTable(groups: Parts["groups"]): string {
  const rows = [...groups].flatMap(([heading, members]) =>
    members.map(([name, argument], i) => {
      const { short, long, value } = flagSpelling(name, argument);
      const names = [code(value === undefined ? long : `${long} ${value}`), ...(short ? [code(short)] : [])];
      return [i === 0 ? prose(heading) : "", names.join(", "), prose(flagText(argument))];
    }),
  );
  return table(["", "flag", "meaning"], rows);
}

function exampleBlock(examples: ReadonlyArray<readonly [command: string, purpose: string]>): string {
  const lines = examples.flatMap(([command, purpose], i) => [
    ...(i === 0 ? [] : [""]),
    // The lines come indented as for the help, and `block` indents them again.
    ...exampleLines(command, purpose).map((line) => line.slice(2)),
  ]);
  return block(lines);
}

function exitCodeTable(codes: ReadonlyArray<readonly [code: number, meaning: string]>): string {
  return table(
    ["exit code", "meaning"],
    codes.map(([exitCode, meaning]) => [String(exitCode), prose(meaning)]),
  );
}
