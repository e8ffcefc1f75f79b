/** Why JSON is refused. */
export type Excess = "nested too deep" | "made of too many values";

/** Deeper than any answer or secret, but safe for a function that calls itself for each level. */
const deepest = 200;

const [quote, backslash, comma] = [0x22, 0x5c, 0x2c];
const [openList, closeList, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Checks the size of JSON before it is parsed: a nested list is one byte of text, but a hundred bytes of memory. Does
 * not check that it is JSON; the parser does.
 *
 * @param mostValues elements of lists and fields of objects, in total
 * @returns undefined within the limits
 */
export function findExcess(text: string, mostValues: number): Excess | undefined {
  let depth = 0;
  let values = 0;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case quote:
        i = endOfString(text, i);
        break;
      case comma:
        values++;
        break;
      case openList:
      case openObject:
        values++;
        if (++depth > deepest) return "nested too deep";
        break;
      case closeList:
      case closeObject:
        depth--;
        break;
    }
    if (values > mostValues) return "made of too many values";
  }
  return undefined;
}

/** The index of a string's closing quotation mark; the text's end if it has none. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text.charCodeAt(end - 1 - escapes) === backslash) escapes++;
    if (escapes % 2 === 0) return end;
  }
  return text.length;
}
