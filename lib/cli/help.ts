import { type Argument, type Arguments, isOnByDefault, letter } from "./arguments.ts";

export interface HelpPage {
  readonly name: string;
  /** One sentence, without its full stop. */
  readonly description: string;
  readonly args: Arguments;
  /** A command line, and what it is for. */
  readonly examples: ReadonlyArray<readonly [command: string, purpose: string]>;
  /** What the exit codes of this command say, beside those of all. */
  readonly exitCodes?: ReadonlyArray<readonly [code: number, meaning: string]>;
}

/** Variables that every command reads, in the order of their use. */
export const everyVariable: ReadonlyArray<readonly [name: string, meaning: string]> = [
  ["VAULT_ADDR", "the server (https://127.0.0.1:8200)"],
  ["VAULT_TOKEN, VAULT_TOKEN_FILE", "an admin's token, or the file of one; a host has its own"],
  ["VAULT_NAMESPACE", "namespace of the server"],
  ["VAULT_CACERT, VAULT_CAPATH", "CA file, or folder of CA files; else the system's own store"],
  ["VAULT_CACERT_BYTES", "the CAs themselves, in PEM"],
  ["VAULT_CLIENT_CERT, VAULT_CLIENT_KEY", "this machine's certificate for TLS, and its key"],
  ["VAULT_TLS_SERVER_NAME", "name that the server's certificate has to have"],
  ["VAULT_SKIP_VERIFY", "true trusts whoever answers"],
  ["VAULT_CLIENT_TIMEOUT, VAULT_MAX_RETRIES", "of one request (15s, 2)"],
  ["VAULT_PROXY_ADDR, VAULT_HTTP_PROXY", "proxy for every address; goes before those below"],
  ["HTTPS_PROXY, HTTP_PROXY, NO_PROXY", "proxy, and what is reached without it"],
];

/** Exit codes that every command can end with. */
export const everyExitCode: ReadonlyArray<readonly [code: number, meaning: string]> = [
  [0, "done, or nothing to do"],
  [64, "the command line is wrong; nothing was done"],
  [65, "a file or an answer holds what it should not"],
  [69, "the server can't serve this, and trying again won't help"],
  [70, "a fault in this tool"],
  [73, "a file, or standard output, can't be written"],
  [75, "try again later: the server is unreachable, sealed, or limits the rate"],
  [77, "permission denied"],
  [78, "something is set up wrongly"],
  [130, "ended by SIGINT; files are whole"],
  [143, "ended by SIGTERM; files are whole"],
];

/** The heading of flags that have none of their own. */
const otherFlags = "Flags";

/**
 * A command's help: made of its data, so it can't speak of a flag that is not there.
 *
 * @param calledAs what was typed to call it, and what the usage and the examples show: `vault-helper cert`
 */
export function renderHelp(page: HelpPage, calledAs: string = page.name): string {
  const { words, groups } = partsOf(page.args);
  const flags = [...groups.values()].flat();
  const flagWidth = widest(flags.map(([name, it]) => flagName(name, it)));
  return [
    ...wrap(`${calledAs}: ${page.description}`),
    "",
    ...fitLine(`Usage: ${[calledAs, "[flags]", ...usageWords(words)].join(" ")}`),
    "",
    ...(words.length === 0 ? [] : [...columns(words.map(([name, it]) => [name, it.description ?? ""])), ""]),
    ...[...groups].flatMap(([heading, members]) => [
      `${heading}:`,
      ...columns(
        members.map(([name, it]) => [flagName(name, it), flagText(it)]),
        flagWidth,
      ),
      "",
    ]),
    "Environment (the BAO_ form of a VAULT_ one goes first):",
    ...columns(everyVariable),
    "",
    "Examples:",
    ...page.examples.flatMap(([command, purpose]) =>
      exampleLines(asCalled(command, page.name, calledAs), purpose),
    ),
    "",
    "Exit codes:",
    ...columns(exitCodesOf(page).map(([code, meaning]) => [String(code), meaning])),
  ].join("\n");
}

/** What a command takes, in the order of its help. */
export interface Parts {
  /** Arguments that are no flags. */
  readonly words: ReadonlyArray<readonly [name: string, argument: Argument]>;
  /** Flags by the heading that they stand under. */
  readonly groups: ReadonlyMap<string, ReadonlyArray<readonly [name: string, argument: Argument]>>;
}

/** The words and flags of a command, for its help and for its pages. */
export function partsOf(args: Arguments): Parts {
  const entries = Object.entries(args);
  const flags = entries.filter(([, { type }]) => type !== "positional");
  return {
    words: entries.filter(([, { type }]) => type === "positional"),
    groups: Map.groupBy(flags, ([, { group }]) => group ?? otherFlags),
  };
}

/** Every exit code of a command, its own among those of all, in their order. */
export function exitCodesOf({
  exitCodes = [],
}: Pick<HelpPage, "exitCodes">): NonNullable<HelpPage["exitCodes"]> {
  return [...everyExitCode, ...exitCodes].sort(([a], [b]) => a - b);
}

/** Optional ones are all given, or none is. */
export function usageWords(words: ReadonlyArray<readonly [string, Argument]>): string[] {
  const names = words.map(([name]) => `<${name}>`);
  const isOptional = words.length > 0 && words.every(([, { required }]) => required === false);
  return isOptional ? [`[${names.join(" ")}]`] : names;
}

/** How a flag is written: `-o`, `--owner`, `USER`. A boolean flag takes no value. */
export interface FlagSpelling {
  readonly short: string | undefined;
  readonly long: string;
  readonly value: string | undefined;
}

export function flagSpelling(name: string, argument: Argument): FlagSpelling {
  const short = letter(argument);
  return {
    short: short === undefined ? undefined : `-${short}`,
    long: `--${isOnByDefault(argument) ? "[no-]" : ""}${name}`,
    value: argument.type === "boolean" ? undefined : (argument.valueHint ?? "VALUE"),
  };
}

function flagName(name: string, argument: Argument): string {
  const { short, long, value } = flagSpelling(name, argument);
  return `${short === undefined ? "    " : `${short}, `}${long}${value === undefined ? "" : ` ${value}`}`;
}

/** What a flag is for, with its default and the variable that sets it. */
export function flagText(argument: Argument): string {
  const about = [
    argument.default === undefined ? [] : `default ${argument.default === true ? "on" : argument.default}`,
    argument.env === undefined ? [] : `or ${argument.env}`,
    argument.list === true ? "comma-separated, or given again" : [],
  ].flat();
  return `${argument.description ?? ""}${about.length === 0 ? "" : ` (${about.join("; ")})`}`;
}

/** A command line as it has to be typed where the command goes by another name. */
export function asCalled(command: string, name: string, calledAs: string): string {
  return command.replaceAll(new RegExp(`(?<![\\w./-])${RegExp.escape(name)}(?![\\w./-])`, "g"), calledAs);
}

/** Longest line: what the narrowest terminal shows that people work with. */
const lineWidth = 80;

/** A command line as it can be pasted, below what it is for. */
export function exampleLines(command: string, purpose: string): string[] {
  const [first = "", ...rest] = wrap(command, lineWidth - 6);
  return [
    ...wrap(purpose, lineWidth - 4).map((line) => `  # ${line}`),
    ...[`  ${first}`, ...rest.map((line) => `    ${line}`)].map((line, i) =>
      i < rest.length ? `${line} \\` : line,
    ),
  ];
}

/** A line in as many as are not longer than that, broken between words; all but the first are indented further. */
export function fitLine(line: string, width = lineWidth): string[] {
  if (Bun.stringWidth(line) <= width) return [line];
  const indent = `${/^ */.exec(line)?.[0] ?? ""}    `;
  const [first = "", ...rest] = wrap(line, width);
  return [first, ...wrap(rest.join(" "), width - indent.length).map((it) => indent + it)];
}

/** Rows of two columns, the right one wrapped. */
export function columns(
  rows: ReadonlyArray<readonly [left: string, right: string]>,
  width = widest(rows.map(([left]) => left)),
): string[] {
  return rows.flatMap(([left, right]) => {
    const [first = "", ...rest] = wrap(right, lineWidth - width - 4);
    return [`  ${left.padEnd(width)}  ${first}`, ...rest.map((line) => `${" ".repeat(width + 4)}${line}`)];
  });
}

function widest(cells: readonly string[]): number {
  return Math.max(0, ...cells.map((cell) => cell.length));
}

/** A text in lines, broken between words; a word that is longer than a line has one of its own. */
export function wrap(text: string, width = lineWidth): string[] {
  const lines: string[] = [];
  let used = 0;
  for (const word of text.split(" ")) {
    const long = Bun.stringWidth(word);
    const line = lines.at(-1);
    if (line === undefined || used + 1 + long > width) {
      lines.push(word);
      used = long;
    } else {
      lines[lines.length - 1] = `${line} ${word}`;
      used += 1 + long;
    }
  }
  return lines;
}
