/** A flag of the command. */
export interface KnownFlag {
  readonly name: string;
  readonly letter: string | undefined;
  readonly takesValue: boolean;
}

/** A flag as it was written. */
export interface Flag {
  /** The long name; for an unknown flag, the part after the dashes. */
  readonly name: string;
  /** With its dashes. */
  readonly rawName: string;
  readonly value: string | undefined;
  /** The value is in the same word: `--owner=x`, `-ox`. */
  readonly isInline: boolean;
}

/** A command line in its parts, in the order given. */
interface CommandLine {
  readonly flags: readonly Flag[];
  readonly words: readonly string[];
}

/**
 * Splits a command line: `--owner=x`, `--owner x`, `-o x`, `-ox`, and `-fo x` for two flags at once. `-o=x` and `-f=true`
 * mean what they meant to the Go tool. After `--` each word is a word. Nothing is checked.
 *
 * @see https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/V1_chap12.html
 */
export function splitLine(known: readonly KnownFlag[], line: readonly string[]): CommandLine {
  const flags: Flag[] = [];
  const words: string[] = [];
  const rest = [...line];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "--") return { flags, words: [...words, ...rest] };
    if (word.startsWith("--")) flags.push(longFlag(known, word, rest));
    else if (word.startsWith("-") && word !== "-") flags.push(...letters(known, word, rest));
    else words.push(word);
  }
  return { flags, words };
}

function longFlag(known: readonly KnownFlag[], word: string, rest: string[]): Flag {
  const equals = word.indexOf("=", "--o".length);
  const name = word.slice("--".length, equals === -1 ? undefined : equals);
  const rawName = `--${name}`;
  if (equals !== -1) return { name, rawName, value: word.slice(equals + 1), isInline: true };
  const takesNext = known.some((it) => it.name === name && it.takesValue);
  return { name, rawName, value: takesNext ? rest.shift() : undefined, isInline: false };
}

function letters(known: readonly KnownFlag[], word: string, rest: string[]): Flag[] {
  const flags: Flag[] = [];
  for (let i = 1; i < word.length; i++) {
    const rawName = `-${word[i]}`;
    const flag = known.find((it) => it.letter === word[i]);
    const inline = word.slice(i + 1);
    if (flag?.takesValue === true) {
      const value = inline === "" ? rest.shift() : inline.replace(/^=/, "");
      return [...flags, { name: flag.name, rawName, value, isInline: inline !== "" }];
    }
    if (flag !== undefined && i === 1 && inline.startsWith("=")) {
      return [{ name: flag.name, rawName: `--${flag.name}`, value: inline.slice(1), isInline: true }];
    }
    flags.push({ name: flag?.name ?? rawName.slice(1), rawName, value: undefined, isInline: false });
  }
  return flags;
}
