/** The longest line: the width of the narrowest terminal in common use. */
export const lineWidth = 80;

/** Breaks a line between words, so that none is longer than `width`. All lines but the first are indented further. */
export function fitLine(line: string, width = lineWidth): string[] {
  if (Bun.stringWidth(line) <= width) return [line];
  const indent = `${/^ */.exec(line)?.[0] ?? ""}    `;
  const [first = "", ...rest] = wrap(line, width);
  return [first, ...wrap(rest.join(" "), width - indent.length).map((it) => indent + it)];
}

/** Breaks a text into lines between words. A word that is longer than a line gets its own line. */
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
