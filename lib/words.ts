/** A count with its noun: `1 change`, `3 changes`. The plural has to end in s. */
export function many(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Quotes any string as one word for a shell. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** One word of a command line, quoted for a shell if necessary. */
export function shellWord(word: string): string {
  return isPlainWord(word) ? word : shellQuoted(word);
}

/** Whether a word means the same with quotes and without. */
export function isPlainWord(word: string): boolean {
  return /^[\w%+,./:=@-]+$/.test(word);
}
