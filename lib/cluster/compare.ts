import { parseDuration } from "../duration.ts";
import type { Fields } from "../vault/shape.ts";

/** A field that is not as it should be, with both values as JSON has them. */
export interface FieldChange {
  readonly field: string;
  readonly from: unknown;
  readonly to: unknown;
}

/**
 * Which of the wanted fields stand otherwise in the server.
 *
 * Fields that we don't want anything of are the server's own. A field that is absent is one that this server does
 * not know (each knows a few more, or less, than another), so it can't be set there.
 */
export function differences(wanted: Fields, found: Fields): readonly FieldChange[] {
  return Object.entries(wanted).flatMap(([field, to]) => {
    const from = found[field];
    return from === undefined || isSame(to, from) ? [] : [{ field, from, to }];
  });
}

/** Whether a value that we would write and one that the server gave back mean the same. */
function isSame(wanted: unknown, found: unknown): boolean {
  if (typeof wanted === "number") return wanted === asNumber(found);
  if (typeof wanted === "boolean") return String(wanted) === String(found);
  if (Array.isArray(wanted)) {
    const left = wanted.map(String).sort();
    const right = asList(found)?.sort();
    return right !== undefined && left.length === right.length && left.every((item, i) => item === right[i]);
  }
  return wanted === found;
}

/** A number, or seconds where the server writes a duration. */
function asNumber(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value !== "string") return undefined;
  if (/^\d+$/.test(value)) return Number(value);
  try {
    return parseDuration(value);
  } catch {
    return undefined;
  }
}

/** A list in each of its forms: Go writes an empty one as null, and older servers joined theirs with commas. */
function asList(value: unknown): string[] | undefined {
  if (value === null || value === "") return [];
  if (typeof value === "string") return value.split(",");
  return Array.isArray(value) ? value.map(String) : undefined;
}
