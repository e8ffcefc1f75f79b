/** What JSON may not be; undefined where it keeps within the limits. */
export type Excess = "nested too deep" | "made of too many values";

/** Deeper than any answer and any secret that people write. A function may call itself for each level. */
const deepest = 200;

const [quote, backslash, comma] = [0x22, 0x5c, 0x2c];
const [openList, closeList, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Looks at JSON before it is parsed: a list in a list takes one byte to write, and a hundred of memory to hold. Whether
 * it is JSON at all is for the parser to tell.
 *
 * @param mostValues elements of lists and fields of objects, all in all
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

/** Where the quotation mark is that closes a string; the text's end where none does. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text.charCodeAt(end - 1 - escapes) === backslash) escapes++;
    if (escapes % 2 === 0) return end;
  }
  return text.length;
}
