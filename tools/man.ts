import type { Argument } from "../lib/cli/arguments.ts";
import { everyVariable, exitCodesOf, flagSpelling, flagText, partsOf, usageWords } from "../lib/cli/help.ts";
import { wrap } from "../lib/cli/wrap.ts";
import { vaultHelper } from "../scripts/vault-helper.ts";
import { type CommandPage, callsOf, commandPages, examplesOf, groupsOf } from "./pages.ts";

/** What the header and footer of a page show. */
export interface Edition {
  readonly version: string;
  /** Such as `2026-01-31`. */
  readonly date: string;
}

export interface ManPages {
  /** The text of each page, by file name. */
  readonly pages: ReadonlyMap<string, string>;
  /** Other names of pages: `issue-cert.1` is the same page as `vault-helper-issue-cert.1`. */
  readonly links: ReadonlyMap<string, string>;
}

/**
 * A page for the tool and one for each command, made from the same data as the help. They use the macros of man(7), which
 * every man reads. `man vault-helper issue-cert` finds the page whose name is both words joined by a hyphen.
 */
export async function manPages(edition: Edition): Promise<ManPages> {
  const commands = await commandPages();
  const pages = new Map([[`${vaultHelper.name}.1`, toolPage(commands, edition)]]);
  const links = new Map<string, string>();
  for (const command of commands) {
    const [name = "", ...others] = pageNames(command);
    pages.set(`${name}.1`, commandPage(command, edition));
    for (const other of others) links.set(`${other}.1`, `${name}.1`);
  }
  return { pages, links };
}

function pageNames({ words, isLinked, page }: CommandPage): string[] {
  return [...words.map((word) => `${vaultHelper.name}-${word}`), ...(isLinked ? [page.name] : [])];
}

function toolPage(commands: readonly CommandPage[], edition: Edition): string {
  const { name, description, examples } = vaultHelper;
  const headed = [...groupsOf(commands)].flatMap(([heading, members]) => [
    `.SS ${text(heading)}`,
    ...members.flatMap(commandEntry),
  ]);
  return lines([
    ...top(name, [name], description, edition),
    ".SH SYNOPSIS",
    `${bold(name)} ${italic("command")} [${italic("flags")}] [${italic("arguments")}]`,
    ".PP",
    prose("A link that is named after a command runs that command."),
    ".SH COMMANDS",
    ...headed,
    ...environment(),
    ...exampleLines(examples),
    ...exitStatus({}),
    ...seeAlso(commands.map((command) => pageNames(command)[0] ?? "")),
  ]);
}

function commandEntry({ page, words }: CommandPage): string[] {
  return entry(words.map(bold).join(", "), page.description);
}

function commandPage(command: CommandPage, edition: Edition): string {
  const { page } = command;
  const { words, groups } = partsOf(page.args);
  const names = pageNames(command);
  return lines([
    ...top(names[0] ?? "", names, page.description, edition),
    ".SH SYNOPSIS",
    ...callsOf(command).flatMap((call, i) => [...(i === 0 ? [] : [".br"]), synopsis(call, words)]),
    ...(words.length === 0 ? [] : [".SH ARGUMENTS"]),
    ...words.flatMap(([name, it]) => entry(italic(name), it.description ?? "")),
    ".SH OPTIONS",
    ...[...groups].flatMap(([heading, members]) => [
      ...(groups.size === 1 ? [] : [`.SS ${text(heading)}`]),
      ...members.flatMap(([name, it]) => entry(flagHead(name, it), flagText(it))),
    ]),
    ...environment(),
    ...exampleLines(examplesOf(command)),
    ...exitStatus(page),
    ...seeAlso([vaultHelper.name]),
  ]);
}

function top(
  title: string,
  names: readonly string[],
  description: string,
  { version, date }: Edition,
): string[] {
  return [
    `.TH ${text(title.toUpperCase())} 1 ${date} "${text(`${vaultHelper.name} ${version}`)}" "User Commands"`,
    ".SH NAME",
    prose(`${names.join(", ")} - ${description}`),
  ];
}

function synopsis(call: string, positional: ReadonlyArray<readonly [string, Argument]>): string {
  const words = usageWords(positional).map((word) =>
    word.replaceAll(/<([^>]+)>|[^<]+/g, (other, name?: string) => (name ? italic(name) : text(other))),
  );
  return [bold(call), `[${italic("flags")}]`, ...words].join(" ");
}

function flagHead(name: string, argument: Argument): string {
  const { short, long, value } = flagSpelling(name, argument);
  const names = [short, long].filter((it) => it !== undefined).map(bold);
  return `${names.join(", ")}${value === undefined ? "" : ` ${italic(value)}`}`;
}

function environment(): string[] {
  return [
    ".SH ENVIRONMENT",
    prose("The BAO_ form of a VAULT_ variable goes first."),
    ...everyVariable.flatMap(([name, meaning]) => entry(bold(name), meaning)),
  ];
}

function exampleLines(examples: ReadonlyArray<readonly [command: string, purpose: string]>): string[] {
  const each = examples.flatMap(([command, purpose], i) => [
    ...(i === 0 ? [] : [".PP"]),
    prose(`${purpose.charAt(0).toUpperCase()}${purpose.slice(1)}:`),
    ".PP",
    ".RS 4",
    ".EX",
    text(command),
    ".EE",
    ".RE",
  ]);
  return [".SH EXAMPLES", ...each];
}

function exitStatus(page: Parameters<typeof exitCodesOf>[0]): string[] {
  return [
    ".SH EXIT STATUS",
    ...exitCodesOf(page).flatMap(([code, meaning]) => entry(bold(String(code)), meaning)),
  ];
}

function seeAlso(names: readonly string[]): string[] {
  const last = names.length - 1;
  return [".SH SEE ALSO", ...names.map((name, i) => `.BR ${text(name)} (1)${i === last ? "" : ","}`)];
}

function entry(head: string, about: string): string[] {
  return [".TP", head, about === "" ? "\\&" : prose(about)];
}

function bold(words: string): string {
  return `\\fB${text(words)}\\fR`;
}

function italic(words: string): string {
  return `\\fI${text(words)}\\fR`;
}

/** The lines of a paragraph, broken between words. The man page's reader fills them again. */
function prose(words: string): string {
  return wrap(words, 72).map(text).join("\n");
}

/** Escapes a text. Without a backslash, a hyphen may be shown as a typographic one, which can't be pasted. */
function text(words: string): string {
  const escaped = words.replaceAll("\\", "\\e").replaceAll("-", "\\-");
  // A line that begins with one of these would be a macro.
  return /^[.']/.test(escaped) ? `\\&${escaped}` : escaped;
}

function lines(all: readonly string[]): string {
  return `${all.join("\n")}\n`;
}
