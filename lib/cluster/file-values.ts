import { parseDuration } from "../duration.ts";
import type { FieldTable } from "../toml/fields.ts";
import type { Reader } from "../toml/reader.ts";
import { checkValidity, type KeyRule, roleKeyTypes } from "./cluster.ts";

type Name<T> = keyof T & string;

/**
 * Reads a validity.
 *
 * @returns seconds; undefined if the file does not have the field
 * @throws Failure (config) if it is not a duration, or longer than the server supports
 */
export function readValidity<T extends FieldTable>(read: Reader<T>, field: Name<T>): number | undefined {
  const text = read.optionalString(field);
  if (text === undefined) return undefined;
  return read.checked(field, () => {
    const seconds = parseDuration(text);
    checkValidity(seconds);
    return seconds;
  });
}

const sizes: Readonly<Record<KeyRule["type"], readonly number[]>> = {
  any: [],
  rsa: [2048, 3072, 4096],
  ec: [256, 384, 521],
  ed25519: [],
};

/**
 * Reads a key type and a size.
 *
 * @returns undefined if the file does not have the fields
 * @throws Failure (config) for a size without a type, or one that the type does not have
 */
export function readKeyRule<T extends FieldTable>(
  read: Reader<T>,
  typeField: Name<T>,
  bitsField: Name<T>,
): KeyRule | undefined {
  const [name, bits] = [read.optionalString(typeField), read.optionalNumber(bitsField)];
  const type = roleKeyTypes.find((it) => it === name);
  if (type === undefined) {
    if (bits !== undefined) throw read.wrong(bitsField, `needs ${typeField} as well`);
    return undefined;
  }
  const [usual = 0] = sizes[type];
  if (bits === undefined || sizes[type].includes(bits)) return { type, bits: bits ?? usual };
  const offer = usual === 0 ? "has no sizes" : `has ${sizes[type].join(", ")}`;
  throw read.wrong(bitsField, `can't be ${bits}: ${typeField} ${type} ${offer}`);
}
