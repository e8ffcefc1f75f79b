/** A table; each row has as many cells as its head. A `|` in a cell is escaped. */
export function table(head: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  return [head, head.map(() => "---"), ...rows]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`)
    .join("\n");
}

/** Words as they are read: no mark of Markdown in them counts, but for code in backticks. */
export function prose(words: string): string {
  return words
    .split(/(`[^`]*`)/)
    .map((part) => (part.startsWith("`") ? part : part.replaceAll(/[\\*_<>[\]]/g, "\\$&")))
    .join("");
}

export function code(words: string): string {
  return `\`${words}\``;
}

/** A sentence from a description that has neither capital nor full stop. */
export function sentence(words: string): string {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
}

/** Lines of a block that is shown as it is typed. */
export function block(lines: readonly string[]): string {
  return lines.map((line) => (line === "" ? "" : `    ${line}`)).join("\n");
}
