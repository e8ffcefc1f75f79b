import { Failure } from "../failure.ts";
import type { VaultClient } from "../vault/client.ts";
import { isWrittenNumber } from "../vault/exact-json.ts";
import { readWholeSecret } from "../vault/kv.ts";
import type { Fields } from "../vault/shape.ts";

export interface ReadSecretOptions {
  readonly client: VaultClient;
  readonly path: string;
  /** Read one field instead of the whole answer. */
  readonly field?: string | undefined;
  /** Give the field as JSON, which works for a value of any type. */
  readonly asJson?: boolean;
  /** Takes a sentence about anything that a person should know and the result does not say. */
  readonly onNote?: (sentence: string) => void;
}

/**
 * A secret as text: the server's whole answer as JSON, or one field unchanged. No line feed is added.
 *
 * @throws Failure (unavailable) if nothing is stored there; (data) for a field that does not exist, or that is not a
 *   string, number or boolean; VaultError
 */
export async function readSecretText(options: ReadSecretOptions): Promise<string> {
  const { client, path, field, onNote } = options;
  const secret = await readWholeSecret(client, path);
  if (secret.path !== path) {
    onNote?.(`${path} is in a mount of kv version 2, and was read at ${secret.path}: use that path`);
  }
  if (field === undefined) return jsonText(inOrder(secret.response));
  const value = fieldOf(secret.fields, field, secret.path);
  return options.asJson === true ? jsonText(value) : rawText(value, field, secret.path);
}

/** The Go tool's fields in its order, then those that servers have added since, unless they are null. */
function inOrder(response: Fields): Fields {
  const { request_id, lease_id, lease_duration, renewable, data, warnings, ...more } = response;
  const others = Object.entries(more).filter(([, value]) => value !== null);
  return {
    request_id,
    lease_id,
    lease_duration,
    renewable,
    data,
    warnings,
    ...Object.fromEntries(others),
  };
}

/** JSON as Go writes it: indented with tabs, and with the characters escaped that are special in HTML or scripts. */
function jsonText(value: unknown): string {
  return JSON.stringify(value, undefined, "\t").replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Whether two whole answers are equal, except for the id that each answer has. */
export function isSameAnswer(one: string, other: string): boolean {
  const withoutId = (text: string) => text.replace(/^\t"request_id": "[^"]*",$/m, "");
  return withoutId(one) === withoutId(other);
}

function fieldOf(fields: Fields, name: string, path: string): unknown {
  // Own ones only: every object has a constructor.
  if (Object.hasOwn(fields, name)) return fields[name];
  const names = Object.keys(fields).map((known) => JSON.stringify(known));
  throw new Failure("data", `the secret at ${path} has no field ${JSON.stringify(name)}`, {
    hint: names.length === 0 ? "it has no fields" : `it has ${names.join(", ")}`,
  });
}

function rawText(value: unknown, field: string, path: string): string {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (isWrittenNumber(value)) return value.rawJSON;
  const kind = value === null ? "null" : Array.isArray(value) ? "a list" : "an object";
  throw new Failure("data", `the field ${JSON.stringify(field)} of ${path} is ${kind}, not a string`, {
    hint: "add --json to print it as JSON",
  });
}
