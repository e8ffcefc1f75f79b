import { Failure } from "../failure.ts";
import { nearest } from "../suggest.ts";
import type { Field, FieldTable } from "./fields.ts";
import type { Within } from "./parse.ts";

/** What was parsed, and where its fields stand. */
export interface Source {
  /** For sentences: `a manifest`. */
  readonly what: string;
  readonly values: Readonly<Record<string, unknown>>;
  /** Before what is wrong with a field: `cluster.toml:3: key_type`. */
  place(field: string, within?: Within): string;
  /** What becomes of the texts of a field with specifiers. @default they stay as they are */
  resolve?(text: string): string;
}

type Name<T> = keyof T & string;
type NestedOf<F> = F extends { readonly fields: infer N extends FieldTable } ? N : FieldTable;

/** Gives each field in the type that its table says, resolved, or tells where it is wrong. */
export interface Reader<T extends FieldTable> {
  /** A failure that begins with the field's place. */
  wrong(field: string, how: string, cause?: Failure): Failure;
  /** Runs what reads a value further: what is wrong with it is said with its place. */
  as<V>(field: Name<T>, parse: () => V): V;
  text(field: Name<T>): string;
  optionalText(field: Name<T>): string | undefined;
  optionalNumber(field: Name<T>): number | undefined;
  truth(field: Name<T>): boolean | undefined;
  texts(field: Name<T>): readonly string[];
  commands(field: Name<T>): ReadonlyArray<readonly string[]>;
  /** One reader for each table of a list. */
  tables<K extends Name<T>>(field: K): ReadonlyArray<Reader<NestedOf<T[K]>>>;
}

/** @throws Failure (config) for a field that the table does not have, or whose value is of another type */
export function createReader<const T extends FieldTable>(table: T, source: Source): Reader<T> {
  const { values } = source;
  const wrong = (field: string, how: string, cause?: Failure, hint = cause?.hint) =>
    new Failure("config", `${source.place(field)} ${how}`, { cause, hint });
  for (const [field, value] of Object.entries(values)) {
    // Own ones only: every object has a constructor.
    const spec = Object.hasOwn(table, field) ? table[field] : undefined;
    if (spec === undefined) {
      const near = nearest(field, Object.keys(table));
      const hint = near === undefined ? undefined : `did you mean ${near}?`;
      throw wrong(field, `is not a field of ${source.what}`, undefined, hint);
    }
    const fault = mismatch(spec, value);
    if (fault !== undefined) throw wrong(field, fault);
  }
  const as = <V>(field: string, parse: () => V): V => {
    try {
      return parse();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      throw wrong(field, `can't be right: ${error.message}`, error);
    }
  };
  const resolved = (field: string, value: string) =>
    table[field]?.specifiers === true ? as(field, () => source.resolve?.(value) ?? value) : value;
  const optionalText = (field: string) => {
    const value = values[field];
    return typeof value === "string" ? resolved(field, value) : undefined;
  };
  const list = (field: string): readonly unknown[] => {
    const value = values[field];
    return Array.isArray(value) ? value : [];
  };
  return {
    wrong,
    as,
    optionalText,
    text: (field) => optionalText(field) ?? fail(wrong(field, "is missing")),
    optionalNumber: (field) => (typeof values[field] === "number" ? values[field] : undefined),
    truth: (field) => (typeof values[field] === "boolean" ? values[field] : undefined),
    texts: (field) => toTexts(values[field]).map((value) => resolved(field, value)),
    commands: (field) => list(field).map(toTexts),
    tables: (field) =>
      list(field).map((item, index) =>
        createReader(nestedTable(table[field]), {
          ...source,
          what: `[[${field}]]`,
          values: { ...Object(item) },
          place: (nested) => source.place(nested, { table: field, index }),
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

/** A list of texts may be one text. */
export function toTexts(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return Array.isArray(value) ? value.map(String) : [];
}

/** Undefined where the value is what the field takes. */
function mismatch({ type, choices }: Field, value: unknown): string | undefined {
  const isText = (it: unknown) => typeof it === "string" && it !== "";
  const isTexts = (it: unknown) => Array.isArray(it) && it.every(isText);
  // What a program is given may be empty.
  const isWords = (it: unknown) => Array.isArray(it) && it.every((word) => typeof word === "string");
  const isTable = (it: unknown) => typeof it === "object" && it !== null && !Array.isArray(it);
  const right = {
    text: () => isText(value),
    texts: () => isText(value) || isTexts(value),
    number: () => Number.isSafeInteger(value),
    truth: () => typeof value === "boolean",
    commands: () => Array.isArray(value) && value.every(isWords),
    tables: () => Array.isArray(value) && value.every(isTable),
  }[type]();
  const kinds: Record<Field["type"], string> = {
    text: "a text",
    texts: "a list of texts",
    number: "a whole number",
    truth: "true or false",
    commands: "a list of commands, each a list of texts",
    tables: "a list of tables",
  };
  if (!right) return `has to be ${kinds[type]}`;
  if (choices === undefined || toTexts(value).every((it) => choices.includes(it))) return undefined;
  return `has to be ${type === "texts" ? "some" : "one"} of ${choices.join(", ")}`;
}
