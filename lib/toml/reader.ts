import { Failure } from "../failure.ts";
import { nearest } from "../suggest.ts";
import type { Field, FieldTable } from "./fields.ts";
import type { TablePosition } from "./parse.ts";

/** A parsed file, or one table in it. */
export interface Source {
  /** For messages: `a manifest`. */
  readonly what: string;
  readonly values: Readonly<Record<string, unknown>>;
  /** The location of a field, for messages: `cluster.toml:3: key_type`. */
  location(field: string, within?: TablePosition): string;
  /** Resolves the specifiers in a string. @default the string stays as it is */
  resolve?(text: string): string;
}

type Name<T> = keyof T & string;
type NestedOf<F> = F extends { readonly fields: infer N extends FieldTable } ? N : FieldTable;

/** Returns each field with the type that its table declares, and with its specifiers resolved. */
export interface Reader<T extends FieldTable> {
  /** A Failure (config) that begins with the field's location. */
  wrong(field: string, how: string, cause?: Failure): Failure;
  /** Runs a function that reads a value further. Adds the field's location to a Failure that it throws. */
  checked<V>(field: Name<T>, parse: () => V): V;
  /** @throws Failure (config) when the field is missing */
  string(field: Name<T>): string;
  optionalString(field: Name<T>): string | undefined;
  optionalNumber(field: Name<T>): number | undefined;
  boolean(field: Name<T>): boolean | undefined;
  strings(field: Name<T>): readonly string[];
  commands(field: Name<T>): ReadonlyArray<readonly string[]>;
  /** One reader for each table of a list. */
  tables<K extends Name<T>>(field: K): ReadonlyArray<Reader<NestedOf<T[K]>>>;
}

/** @throws Failure (config) for an unknown field, and for a value of another type */
export function createReader<const T extends FieldTable>(table: T, source: Source): Reader<T> {
  const { values } = source;
  const wrong = (field: string, how: string, cause?: Failure, hint = cause?.hint) =>
    new Failure("config", `${source.location(field)} ${how}`, { cause, hint });
  for (const [field, value] of Object.entries(values)) {
    // Without hasOwn, `constructor` would be a known field.
    const spec = Object.hasOwn(table, field) ? table[field] : undefined;
    if (spec === undefined) {
      const near = nearest(field, Object.keys(table));
      const hint = near === undefined ? undefined : `did you mean ${near}?`;
      throw wrong(field, `is not a field of ${source.what}`, undefined, hint);
    }
    const fault = mismatch(spec, value);
    if (fault !== undefined) throw wrong(field, fault);
  }
  const checked = <V>(field: string, parse: () => V): V => {
    try {
      return parse();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      throw wrong(field, `is wrong: ${error.message}`, error);
    }
  };
  const resolved = (field: string, value: string) =>
    table[field]?.specifiers === true ? checked(field, () => source.resolve?.(value) ?? value) : value;
  const optionalString = (field: string) => {
    const value = values[field];
    return typeof value === "string" ? resolved(field, value) : undefined;
  };
  const list = (field: string): readonly unknown[] => {
    const value = values[field];
    return Array.isArray(value) ? value : [];
  };
  return {
    wrong,
    checked,
    optionalString,
    string: (field) => optionalString(field) ?? fail(wrong(field, "is missing")),
    optionalNumber: (field) => (typeof values[field] === "number" ? values[field] : undefined),
    boolean: (field) => (typeof values[field] === "boolean" ? values[field] : undefined),
    strings: (field) => toStrings(values[field]).map((value) => resolved(field, value)),
    commands: (field) => list(field).map(toStrings),
    tables: (field) =>
      list(field).map((item, index) =>
        createReader(nestedTable(table[field]), {
          ...source,
          what: `[[${field}]]`,
          values: { ...Object(item) },
          location: (nested) => source.location(nested, { table: field, index }),
        }),
      ),
  };
}

function nestedTable<F extends Field>(field: F | undefined): NestedOf<F>;
function nestedTable(field: Field | undefined): FieldTable {
  return field?.fields ?? {};
}

function fail(failure: Failure): never {
  throw failure;
}

/** The strings of a field that takes one string or a list. */
export function toStrings(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return Array.isArray(value) ? value.map(String) : [];
}

/** What the field needs instead of this value; undefined when the value is right. */
function mismatch({ type, choices }: Field, value: unknown): string | undefined {
  const isFilled = (it: unknown) => typeof it === "string" && it !== "";
  const isFilledList = (it: unknown) => Array.isArray(it) && it.every(isFilled);
  // An argument of a program may be empty.
  const isWords = (it: unknown) => Array.isArray(it) && it.every((word) => typeof word === "string");
  const isTable = (it: unknown) => typeof it === "object" && it !== null && !Array.isArray(it);
  const right = {
    string: () => isFilled(value),
    strings: () => isFilled(value) || isFilledList(value),
    number: () => Number.isSafeInteger(value),
    boolean: () => typeof value === "boolean",
    commands: () => Array.isArray(value) && value.every(isWords),
    tables: () => Array.isArray(value) && value.every(isTable),
  }[type]();
  const kinds: Record<Field["type"], string> = {
    string: "a non-empty string",
    strings: "a list of non-empty strings",
    number: "a whole number",
    boolean: "true or false",
    commands: "a list of commands, each a list of strings",
    tables: "a list of tables",
  };
  if (!right) return `has to be ${kinds[type]}`;
  if (choices === undefined || toStrings(value).every((it) => choices.includes(it))) return undefined;
  return `has to be ${type === "strings" ? "some" : "one"} of ${choices.join(", ")}`;
}
