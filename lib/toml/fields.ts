/** The type of a field's value in a file. `strings` takes one string or a list of them. */
export type FieldType = "string" | "strings" | "number" | "boolean" | "commands" | "tables";

export interface Field {
  readonly type: FieldType;
  readonly required?: true;
  /** As it would be written in the file. */
  readonly default?: string;
  readonly example: string;
  readonly description: string;
  /** The allowed values, if there is a fixed set. */
  readonly choices?: readonly string[];
  /** Specifiers in its strings are resolved when they are read. */
  readonly specifiers?: true;
  /** The fields of each table, for a list of tables. */
  readonly fields?: FieldTable;
}

/** Every field of one kind of file. Its reader, its table in the documentation and its JSON schema are made from this. */
export type FieldTable = Readonly<Record<string, Field>>;
