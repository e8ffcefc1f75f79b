/** A number as the server wrote it, if JavaScript would write it differently: `1.0`, or twenty digits. */
export interface WrittenNumber {
  readonly rawJSON: string;
}

/** The runtime has these, but its types don't: https://tc39.es/proposal-json-parse-with-source/ */
interface SourceJson {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): WrittenNumber;
  isRawJSON(value: unknown): value is WrittenNumber;
}

const json = JSON as unknown as SourceJson;

/**
 * Parses JSON so that `JSON.stringify` writes each number as it was: a number that would change is a WrittenNumber.
 *
 * @throws SyntaxError
 */
export function parseExactly(text: string): unknown {
  return json.parse(text, (_, value, { source }) =>
    typeof value === "number" && source !== undefined && String(value) !== source
      ? json.rawJSON(source)
      : value,
  );
}

/** Whether a value of `parseExactly` is such a number. */
export function isWrittenNumber(value: unknown): value is WrittenNumber {
  return json.isRawJSON(value);
}
