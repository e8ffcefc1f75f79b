/** A number as the server wrote it, where this runtime's own would be written otherwise: `1.0`, or twenty digits. */
export interface WrittenNumber {
  readonly rawJSON: string;
}

/** What the runtime has and its types lack: https://tc39.es/proposal-json-parse-with-source/ */
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
 * JSON whose numbers `JSON.stringify` gives back to the letter: those that would change are WrittenNumbers.
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

/** Whether a value is what `parseExactly` gives for such a number. */
export function isWrittenNumber(value: unknown): value is WrittenNumber {
  return json.isRawJSON(value);
}
