import { type Argument, type Arguments, isOnByDefault, letter } from "./arguments.ts";
import { fitLine, lineWidth, wrap } from "./wrap.ts";

export interface HelpPage {
  readonly name: string;
  /** One sentence, without its full stop. */
  readonly description: string;
  readonly args: Arguments;
  /** Command lines, each with its purpose. */
  readonly examples: ReadonlyArray<readonly [command: string, purpose: string]>;
  /** This command's own exit codes; `everyExitCode` has the others. */
  readonly exitCodes?: ReadonlyArray<readonly [code: number, meaning: string]>;
}

/** The variables that every command reads. */
export const everyVariable: ReadonlyArray<readonly [name: string, meaning: string]> = [
  ["VAULT_ADDR", "the server (https://127.0.0.1:8200)"],
  ["VAULT_TOKEN, VAULT_TOKEN_FILE", "an admin's token, or a file with one; a host has its own token"],
  ["VAULT_NAMESPACE", "namespace of the server"],
  ["VAULT_CACERT, VAULT_CAPATH", "CA file, or folder of CA files; else the system's own store"],
  ["VAULT_CACERT_BYTES", "the CAs themselves, in PEM"],
  ["VAULT_CLIENT_CERT, VAULT_CLIENT_KEY", "this machine's client certificate for TLS, and its key"],
  ["VAULT_TLS_SERVER_NAME", "name expected in the server's certificate"],
  ["VAULT_SKIP_VERIFY", "true trusts any server that answers"],
  [
    "VAULT_CLIENT_TIMEOUT, VAULT_MAX_RETRIES",
    "time limit of a request, and how often it is retried (15s, 2)",
  ],
  ["VAULT_PROXY_ADDR, VAULT_HTTP_PROXY", "proxy for every address; overrides those below"],
  ["HTTPS_PROXY, HTTP_PROXY, NO_PROXY", "proxy, and hosts to reach without it"],
];

/** Exit codes that every command can end with. */
export const everyExitCode: ReadonlyArray<readonly [code: number, meaning: string]> = [
  [0, "done, or nothing to do"],
  [64, "the command line is wrong; nothing was done"],
  [65, "a file or an answer is invalid"],
  [69, "the server can't serve this, and trying again won't help"],
  [70, "a fault in this tool"],
  [73, "a file, or standard output, can't be written"],
  [75, "try again later: the server is unreachable, sealed, or limits the rate"],
  [77, "permission denied"],
  [78, "the configuration is wrong"],
  [130, "ended by SIGINT; no file is half written"],
  [143, "ended by SIGTERM; no file is half written"],
];

/** The heading of flags without a group. */
const otherFlags = "Flags";

/**
 * A command's help, made from the command's own data.
 *
 * @param calledAs what was typed to call it, such as `vault-helper cert`: usage and examples show the same
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

/** A command's words and flags, in the order of its help. */
export interface Parts {
  /** The arguments that are not flags. */
  readonly words: ReadonlyArray<readonly [name: string, argument: Argument]>;
  /** The flags under each heading. */
  readonly groups: ReadonlyMap<string, ReadonlyArray<readonly [name: string, argument: Argument]>>;
}

/** Splits a command's arguments into words and flags, for its help and for its pages. */
export function partsOf(args: Arguments): Parts {
  const entries = Object.entries(args);
  const flags = entries.filter(([, { type }]) => type !== "positional");
  return {
    words: entries.filter(([, { type }]) => type === "positional"),
    groups: Map.groupBy(flags, ([, { group }]) => group ?? otherFlags),
  };
}

/** All exit codes of a command in ascending order: those of every command, and its own. */
export function exitCodesOf({
  exitCodes = [],
}: Pick<HelpPage, "exitCodes">): NonNullable<HelpPage["exitCodes"]> {
  return [...everyExitCode, ...exitCodes].sort(([a], [b]) => a - b);
}

/** Optional words are given all together or not at all. */
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

/** A flag's description, with its default and its variable. */
export function flagText(argument: Argument): string {
  const about = [
    argument.default === undefined ? [] : `default ${argument.default === true ? "on" : argument.default}`,
    argument.env === undefined ? [] : `or ${argument.env}`,
    argument.list === true ? "comma-separated, or repeated" : [],
  ].flat();
  return `${argument.description ?? ""}${about.length === 0 ? "" : ` (${about.join("; ")})`}`;
}

/** An example's command line, with the name that the command was called by. */
export function asCalled(command: string, name: string, calledAs: string): string {
  return command.replaceAll(new RegExp(`(?<![\\w./-])${RegExp.escape(name)}(?![\\w./-])`, "g"), calledAs);
}

/** An example: its purpose, and below it the command line, ready to be pasted. */
export function exampleLines(command: string, purpose: string): string[] {
  const [first = "", ...rest] = wrap(command, lineWidth - 6);
  return [
    ...wrap(purpose, lineWidth - 4).map((line) => `  # ${line}`),
    ...[`  ${first}`, ...rest.map((line) => `    ${line}`)].map((line, i) =>
      i < rest.length ? `${line} \\` : line,
    ),
  ];
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
