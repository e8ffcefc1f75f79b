import { parseArgs } from "node:util";
import type { ArgDef } from "citty";
import { ExitCode, Failure } from "../failure.ts";
import { printable } from "../host/file-error.ts";

/** A flag or a positional argument of a command, as citty has it, and what it lacks. */
export type Argument = ArgDef & {
  /** May be given more than once, and holds commas between its values. */
  readonly list?: true;
  /** The variable that stands for it when it is not given: for the help. */
  readonly env?: string;
  /** The heading of the help that it stands under. @default "Flags" */
  readonly group?: string;
};

/** A flag's letter; undefined where it has none. */
export function letter(argument: Argument): string | undefined {
  return "alias" in argument && typeof argument.alias === "string" ? argument.alias : undefined;
}

export type Arguments = Readonly<Record<string, Argument>>;

/**
 * Reads a command line strictly: citty's own parser lets unknown flags, surplus words and doubled flags pass.
 *
 * @returns the same command line in one plain form, each flag as `--name=value`, for citty to read
 * @throws Failure (usage) for the first thing that is wrong; nothing has been done then
 */
export function checkArguments(args: Arguments, rawArgs: readonly string[]): string[] {
  checkEncoding(rawArgs);
  const flags = Object.entries(args).filter(([, { type }]) => type !== "positional");
  const { tokens } = parseArgs({
    args: [...rawArgs],
    options: Object.fromEntries(
      flags.map(([name, argument]) => {
        const short = letter(argument);
        const type = argument.type === "boolean" ? ("boolean" as const) : ("string" as const);
        return [name, short === undefined ? { type } : { type, short }];
      }),
    ),
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  const given = new Map<string, string[]>();
  const words: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") words.push(token.value);
    if (token.kind !== "option") continue;
    // Own ones only: every object has a constructor.
    const argument = Object.hasOwn(args, token.name) ? args[token.name] : undefined;
    const value = givenValue(token);
    checkFlag({ ...token, value }, argument);
    const values = given.get(token.name) ?? [];
    if (values.length > 0 && argument?.list !== true) throw usage(`${token.rawName} is given twice`);
    given.set(token.name, [...values, value ?? ""]);
  }
  checkWords(args, words);
  return [
    ...[...given].map(([name, values]) =>
      args[name]?.type === "boolean" ? `--${name}` : `--${name}=${values.join(",")}`,
    ),
    "--",
    ...words,
  ];
}

/** The runtime reads what is not UTF-8 as U+FFFD: a path with it is another than the one that was meant. */
function checkEncoding(rawArgs: readonly string[]): void {
  const broken = rawArgs.find((word) => word.includes("\ufffd"));
  if (broken !== undefined) throw usage(`${JSON.stringify(broken)} is not UTF-8`, "give it in UTF-8");
}

/** A flag as node:util found it. */
interface Flag {
  readonly rawName: string;
  readonly value: string | undefined;
  readonly inlineValue: boolean | undefined;
}

/** `-b=2048` means 2048, as it did to the Go tool, and not `=2048`. */
function givenValue({ rawName, value, inlineValue }: Flag): string | undefined {
  return inlineValue === true && !rawName.startsWith("--") ? value?.replace(/^=/, "") : value;
}

function checkFlag(token: Flag, argument: Argument | undefined): void {
  if (argument === undefined || argument.type === "positional") {
    throw usage(`there is no flag ${printable(token.rawName)}`);
  }
  if (argument.type === "boolean") {
    if (token.value !== undefined) throw usage(`${token.rawName} takes no value`);
  } else if (token.value === undefined || token.value === "") {
    throw usage(`${token.rawName} needs a value`);
  } else if (!token.inlineValue && token.value.startsWith("-") && token.value !== "-") {
    // `--owner --group etcd` is a value forgotten, not an owner called --group.
    throw usage(`${token.rawName} needs a value`, `write ${token.rawName}=… if that is the value`);
  }
}

function checkWords(args: Arguments, words: readonly string[]): void {
  const all = Object.entries(args).filter(([, { type }]) => type === "positional");
  const wanted = all.map(([name]) => name);
  // Optional ones are all there, or none is.
  const isOptional = words.length === 0 && all.every(([, { required }]) => required === false);
  const missing = isOptional ? [] : wanted.slice(words.length);
  if (missing.length > 0) throw usage(`${missing.map((name) => `<${name}>`).join(" ")} is missing`);
  const [surplus] = words.slice(wanted.length);
  // Not the word itself: it may be a token, given without its flag.
  if (surplus !== undefined) {
    const last = wanted.at(-1);
    throw usage(
      last === undefined ? "it takes no argument" : `there is an argument too many, after <${last}>`,
    );
  }
  const empty = wanted.find((_, i) => words[i]?.trim() === "");
  if (empty !== undefined) throw usage(`<${empty}> is empty`);
}

function usage(sentence: string, hint = "see --help"): Failure {
  return new Failure(ExitCode.usage, sentence, { hint });
}
