import type { ArgDef, ArgsDef, ParsedArgs } from "citty";
import { Failure, reworded } from "../failure.ts";
import { printable } from "../host/file-error.ts";
import { nearest } from "../suggest.ts";
import { type Flag, type KnownFlag, splitLine } from "./command-line.ts";

/** A flag or a positional argument of a command: citty's definition, with more fields. */
export type Argument = ArgDef & {
  /** May be given more than once; each time, commas separate its values. */
  readonly list?: true;
  /** An empty value counts as none. A unit has `--init-role=${VAULT_INIT_ROLE}`, which is empty if that is not set. */
  readonly mayBeEmpty?: true;
  /** The variable that is used when the flag is not given. For the help. */
  readonly env?: string;
  /** The possible values, if there are only a few. For completions. */
  readonly choices?: readonly string[];
  /** The heading in the help. @default "Flags" */
  readonly group?: string;
};

/** A flag's short form, one letter; undefined if it has none. */
export function letter(argument: Argument): string | undefined {
  return "alias" in argument && typeof argument.alias === "string" ? argument.alias : undefined;
}

export type Arguments = Readonly<Record<string, Argument>>;

/**
 * Reads a command line strictly. Unknown flags, surplus words and repeated flags are refused.
 *
 * @param command how it was called, for the hint that names its help
 * @returns the same command line in one plain form, each flag as `--name=value`, for `argumentValues` to read
 * @throws Failure (usage) for the first mistake
 */
export function checkArguments(args: Arguments, rawArgs: readonly string[], command = ""): string[] {
  try {
    return plainArguments(args, rawArgs);
  } catch (error) {
    if (!(error instanceof Failure) || error.hint !== undefined) throw error;
    const hint = `see ${command === "" ? "" : `${command} `}--help`;
    throw reworded(error, { hint });
  }
}

function plainArguments(args: Arguments, rawArgs: readonly string[]): string[] {
  checkEncoding(rawArgs);
  const known: KnownFlag[] = [];
  for (const [name, argument] of Object.entries(args)) {
    const { type } = argument;
    if (type !== "positional") known.push({ name, letter: letter(argument), takesValue: type !== "boolean" });
  }
  const { flags, words } = splitLine(known, rawArgs);
  const given = new Map<string, string[]>();
  for (const flag of flags) {
    const [name, argument] = flagOf(args, flag);
    const value = checkFlag(flag, argument);
    const values = given.get(name) ?? [];
    if (values.length > 0 && argument.list !== true) throw usage(`${flag.rawName} is given twice`);
    given.set(name, [...values, value]);
  }
  checkWords(args, words);
  const plain: string[] = [];
  for (const [name, values] of given) plain.push(...plainFlag(name, args[name], values));
  return [...plain, "--", ...words];
}

/**
 * The values of all arguments. An argument that is not given has its default.
 *
 * @param plain as `checkArguments` gives it
 */
export function argumentValues<T extends ArgsDef & Arguments>(
  args: T,
  plain: readonly string[],
): ParsedArgs<T> {
  const end = plain.indexOf("--");
  const words = plain.slice(end + 1);
  const values: Record<string, string | boolean | undefined> = {};
  for (const [name, argument] of Object.entries(args)) {
    const word = argument.type === "positional" ? words.shift() : undefined;
    values[name] = word ?? argument.default;
  }
  for (const flag of plain.slice(0, end)) {
    const equals = flag.indexOf("=");
    const name = flag.slice("--".length, equals === -1 ? undefined : equals);
    if (Object.hasOwn(args, name)) values[name] = equals === -1 ? true : flag.slice(equals + 1);
    else values[name.slice("no-".length)] = false;
  }
  return values as ParsedArgs<T>;
}

/**
 * The flag that was meant. `--no-wait` names the flag `wait` if that is on by default.
 *
 * @throws Failure (usage) if there is none
 */
function flagOf(args: Arguments, { name, rawName }: Flag): readonly [name: string, argument: Argument] {
  // Own ones only: every object has a constructor.
  const argument = Object.hasOwn(args, name) ? args[name] : undefined;
  if (argument !== undefined && argument.type !== "positional") return [name, argument];
  const off = isOff(rawName) ? name.slice("no-".length) : "";
  const turnedOff = Object.hasOwn(args, off) ? args[off] : undefined;
  if (turnedOff !== undefined && isOnByDefault(turnedOff)) return [off, turnedOff];
  throw usage(`there is no flag ${printable(rawName)}`, nearestFlag(args, rawName));
}

/**
 * A hint for a misspelt flag. None for a single letter (every other is one change away), and none for `--no-force` (its
 * opposite is `--force`).
 */
function nearestFlag(args: Arguments, rawName: string): string | undefined {
  if (!rawName.startsWith("--") || isOff(rawName)) return undefined;
  const flags = Object.entries(args).filter(([, { type }]) => type !== "positional");
  const near = nearest(
    rawName.slice("--".length),
    flags.map(([flag]) => flag),
  );
  return near === undefined ? undefined : `did you mean --${near}?`;
}

function isOff(rawName: string): boolean {
  return rawName.startsWith("--no-");
}

/** A boolean flag that is on unless `--no-…` turns it off. */
export function isOnByDefault(argument: Argument): boolean {
  return argument.type === "boolean" && argument.default === true;
}

function plainFlag(name: string, { type }: Argument = {}, values: readonly string[]): string[] {
  if (type === "boolean") return [values[0] === "false" ? `--no-${name}` : `--${name}`];
  const given = values.filter((value) => value !== "");
  return given.length === 0 ? [] : [`--${name}=${given.join(",")}`];
}

/** The runtime turns invalid UTF-8 into U+FFFD, so a path with that character is not the path that was meant. */
function checkEncoding(rawArgs: readonly string[]): void {
  const broken = rawArgs.find((word) => word.includes("\ufffd"));
  if (broken === undefined) return;
  // Not the word itself: it may be a token, or hold an init token's id.
  const [flag = "an argument"] = /^--[\w-]+(?==)/.exec(broken) ?? [];
  throw usage(`${flag} is not UTF-8`, "give it in UTF-8");
}

/** @returns the flag's value; `true` or `false` for a boolean */
function checkFlag({ rawName, value, isInline }: Flag, argument: Argument): string {
  if (argument.type === "boolean") {
    if (value === undefined) return isOff(rawName) && isOnByDefault(argument) ? "false" : "true";
    if (isOff(rawName)) throw usage(`${rawName} takes no value`);
    return booleanValue(rawName, value);
  }
  if (value === undefined || (value === "" && argument.mayBeEmpty !== true)) {
    throw usage(`${rawName} needs a value`);
  }
  if (!isInline && value.startsWith("-") && value !== "-") {
    // `--owner --group etcd` is a value forgotten, not an owner called --group.
    throw usage(`${rawName} needs a value`, `write ${rawName}=… if that is the value`);
  }
  return value;
}

/** The values of a boolean flag that turn it on. @see https://pkg.go.dev/strconv#ParseBool, which the Go tool used */
export const trueWords: readonly string[] = ["1", "t", "T", "true", "TRUE", "True"];
const falseWords: readonly string[] = ["0", "f", "F", "false", "FALSE", "False"];

function booleanValue(rawName: string, value: string): "true" | "false" {
  if (trueWords.includes(value)) return "true";
  if (falseWords.includes(value)) return "false";
  throw usage(`${rawName} takes true or false, or no value at all`);
}

function checkWords(args: Arguments, words: readonly string[]): void {
  const wanted: string[] = [];
  // Optional words are given all together or not at all.
  let isOptional = words.length === 0;
  for (const [name, { type, required }] of Object.entries(args)) {
    if (type !== "positional") continue;
    wanted.push(name);
    isOptional &&= required === false;
  }
  const missing = isOptional ? [] : wanted.slice(words.length);
  if (missing.length > 0) throw usage(`${missing.map((name) => `<${name}>`).join(" ")} is missing`);
  const [surplus] = words.slice(wanted.length);
  // Not the word itself: it may be a token, given without its flag.
  if (surplus !== undefined) {
    const last = wanted.at(-1);
    throw usage(
      last === undefined ? "it takes no arguments" : `there is one argument too many, after <${last}>`,
    );
  }
  const empty = wanted.find((_, i) => words[i]?.trim() === "");
  if (empty !== undefined) throw usage(`<${empty}> is empty`);
}

/** Without a hint, `checkArguments` adds one that names the help. */
function usage(sentence: string, hint?: string): Failure {
  return new Failure("usage", sentence, { hint });
}
