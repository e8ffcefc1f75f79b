import { type Argument, type Arguments, letter } from "./arguments.ts";

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

const everyExitCode: ReadonlyArray<readonly [code: number, meaning: string]> = [
  [0, "done, or nothing to do"],
  [64, "the command line is wrong; nothing was done"],
  [65, "a file or an answer holds what it should not"],
  [69, "the server can't serve this, and trying again won't help"],
  [70, "a fault in this tool"],
  [73, "a file can't be written"],
  [75, "try again later: the server is unreachable, sealed, or limits the rate"],
  [77, "permission denied"],
  [78, "something is set up wrongly"],
];

/** A command's help: made of its data, so it can't speak of a flag that is not there. */
export function renderHelp(page: HelpPage): string {
  const entries = Object.entries(page.args);
  const words = entries.filter(([, { type }]) => type === "positional");
  const flags = entries.filter(([, { type }]) => type !== "positional");
  const codes = [...everyExitCode, ...(page.exitCodes ?? [])].sort(([a], [b]) => a - b);
  return [
    `${page.name}: ${page.description}`,
    "",
    `Usage: ${[page.name, "[flags]", ...words.map(([name]) => `<${name}>`)].join(" ")}`,
    "",
    ...(words.length === 0 ? [] : [...columns(words.map(([name, it]) => [name, it.description ?? ""])), ""]),
    "Flags:",
    ...columns(flags.map(([name, it]) => [flagName(name, it), flagText(it)])),
    "",
    "Examples:",
    ...page.examples.flatMap(([command, purpose]) => [`  # ${purpose}`, `  ${command}`]),
    "",
    "Exit codes:",
    ...columns(codes.map(([code, meaning]) => [String(code), meaning])),
  ].join("\n");
}

function flagName(name: string, argument: Argument): string {
  const short = letter(argument) === undefined ? "    " : `-${letter(argument)}, `;
  return `${short}--${name}${argument.type === "boolean" ? "" : ` ${argument.valueHint ?? "VALUE"}`}`;
}

function flagText(argument: Argument): string {
  const about = [
    argument.default === undefined ? [] : `default ${argument.default}`,
    argument.env === undefined ? [] : `or ${argument.env}`,
    argument.list === true ? "comma-separated, or given again" : [],
  ].flat();
  return `${argument.description ?? ""}${about.length === 0 ? "" : ` (${about.join("; ")})`}`;
}

function columns(rows: ReadonlyArray<readonly [left: string, right: string]>): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
