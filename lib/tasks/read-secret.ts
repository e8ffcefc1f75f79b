import { Failure } from "../failure.ts";
import type { VaultClient } from "../vault/client.ts";
import { isWrittenNumber } from "../vault/exact-json.ts";
import { readWholeSecret } from "../vault/kv.ts";
import type { Fields } from "../vault/shape.ts";

export interface ReadSecretOptions {
  readonly client: VaultClient;
  readonly path: string;
  /** One field instead of the whole answer. */
  readonly field?: string | undefined;
  /** The field as JSON, of whatever type it is. */
  readonly asJson?: boolean;
  /** Told what a person should know and no result says. */
  readonly onNote?: (sentence: string) => void;
}

/**
 * A secret as text: the server's whole answer as JSON, or one field as it is, without a line feed of ours at the end.
 *
 * @throws Failure (unavailable) where nothing is stored; (data) for a field that is not there, or that is neither text
 *   nor number nor truth; VaultError
 */
export async function readSecretText(options: ReadSecretOptions): Promise<string> {
  const { client, path, field, onNote } = options;
  const secret = await readWholeSecret(client, path);
  if (secret.path !== path) {
    onNote?.(`${path} is in a mount of kv version 2, and was read at ${secret.path}: give that path`);
  }
  if (field === undefined) return jsonText(inOrder(secret.response));
  const value = fieldOf(secret.fields, field, secret.path);
  return options.asJson === true ? jsonText(value) : rawText(value, field, secret.path);
}

/** The fields that the Go tool printed in its order, then what servers have added since; what is not there is left out. */
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

/** As Go writes JSON: indented by tabs, with what HTML or a script could trip over escaped. */
function jsonText(value: unknown): string {
  return JSON.stringify(value, undefined, "\t").replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Whether two whole answers tell the same: each has an id of its own. */
export function isSameAnswer(one: string, other: string): boolean {
  const withoutId = (text: string) => text.replace(/^\t"request_id": "[^"]*",$/m, "");
  return withoutId(one) === withoutId(other);
}

function fieldOf(fields: Fields, name: string, path: string): unknown {
  // Own ones only: every object has a constructor.
  if (Object.hasOwn(fields, name)) return fields[name];
  const names = Object.keys(fields).map((known) => JSON.stringify(known));
  throw new Failure("data", `the secret at ${path} has no field ${JSON.stringify(name)}`, {
    hint: names.length === 0 ? "it has no field at all" : `it has ${names.join(", ")}`,
  });
}

function rawText(value: unknown, field: string, path: string): string {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (isWrittenNumber(value)) return value.rawJSON;
  const kind = value === null ? "null" : Array.isArray(value) ? "a list" : "an object";
  throw new Failure("data", `the field ${JSON.stringify(field)} of ${path} is ${kind}, not a text`, {
    hint: "add --json to have it as JSON",
  });
}
