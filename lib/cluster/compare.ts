import { parseDuration } from "../duration.ts";
import type { Fields } from "../vault/shape.ts";

/** A field that differs, with both values as in JSON. */
export interface FieldChange {
  readonly field: string;
  readonly from: unknown;
  readonly to: unknown;
}

/**
 * The wanted fields that have another value in the server.
 *
 * All other fields are left to the server. A wanted field that the server does not return is one that this version
 * does not support, so it is not a difference.
 */
export function differences(wanted: Fields, found: Fields): readonly FieldChange[] {
  return Object.entries(wanted).flatMap(([field, to]) => {
    const from = found[field];
    return from === undefined || isSame(to, from) ? [] : [{ field, from, to }];
  });
}

/** Whether a wanted value means the same as the one that the server returned. */
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

/** A number; a duration is read as seconds. */
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

/** A list in any of its forms: Go writes an empty list as null, and older servers join lists with commas. */
function asList(value: unknown): string[] | undefined {
  if (value === null || value === "") return [];
  if (typeof value === "string") return value.split(",");
  return Array.isArray(value) ? value.map(String) : undefined;
}
