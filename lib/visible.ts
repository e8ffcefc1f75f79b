/** Text that writes nothing on a terminal but itself. */
const plain = /^[\t -~]*$/;

/**
 * One line as it may be shown. Lines hold what others have named or said, a field of a secret, say. None of that may
 * write on the terminal as it likes (control characters, C1's among them), turn round what stands beside it (bidi), be
 * there unseen (format characters), or begin a line of its own.
 *
 * @param ours what we put there ourselves, as a pattern
 */
export function visible(line: string, ours = "(?!)"): string {
  // The list of all that can't be seen takes its time to build, and most lines need none of it.
  if (plain.test(line)) return line;
  const unseen = new RegExp(`(${ours})|[^\\P{Cc}\\t]|[\\p{Cf}\\p{Zl}\\p{Zp}\\p{Cs}]`, "gu");
  return line.replaceAll(unseen, (_, kept = "\ufffd") => kept);
}

/** The same of a text of several lines, each of which may be one. */
export function visibleLines(text: string): string {
  return text
    .split("\n")
    .map((line) => visible(line))
    .join("\n");
}

/** JSON that says the same, with escapes for what `visible` would not show. */
export function visibleJson(json: string): string {
  if (/^[\n -~]*$/.test(json)) return json;
  return json.replaceAll(/[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}]/gu, (unseen) =>
    [...Array(unseen.length).keys()]
      .map((i) => `\\u${unseen.charCodeAt(i).toString(16).padStart(4, "0")}`)
      .join(""),
  );
}
