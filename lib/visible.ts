/** Printable ASCII and tabs. */
const plain = /^[\t -~]*$/;

/**
 * Makes one line safe to print on a terminal. Lines may contain text from others, such as the name of a secret's field.
 * Replaces characters that control the terminal (C0 and C1), reverse other text (bidi), are invisible (format
 * characters) or begin a new line.
 *
 * @param kept a pattern for our own escape sequences, which are kept
 */
export function visible(line: string, kept = "(?!)"): string {
  // Building the Unicode pattern takes time, and most lines don't need it.
  if (plain.test(line)) return line;
  const invisible = new RegExp(`(${kept})|[^\\P{Cc}\\t]|[\\p{Cf}\\p{Zl}\\p{Zp}\\p{Cs}]`, "gu");
  return line.replaceAll(invisible, (_, own = "\ufffd") => own);
}

/** Like `visible`, but keeps line feeds. */
export function visibleLines(text: string): string {
  return text
    .split("\n")
    .map((line) => visible(line))
    .join("\n");
}

/** Equivalent JSON, with escapes for the characters that `visible` replaces. */
export function visibleJson(json: string): string {
  if (/^[\n -~]*$/.test(json)) return json;
  return json.replaceAll(/[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}]/gu, (invisible) =>
    [...Array(invisible.length).keys()]
      .map((i) => `\\u${invisible.charCodeAt(i).toString(16).padStart(4, "0")}`)
      .join(""),
  );
}
