/** What a field of a file may hold. */
export type FieldType = "text" | "texts" | "number" | "truth" | "commands" | "tables";

export interface Field {
  readonly type: FieldType;
  readonly required?: true;
  /** As one would write it. */
  readonly default?: string;
  readonly example: string;
  readonly description: string;
  /** The values that there are, where it is a choice. */
  readonly choices?: readonly string[];
  /** Its texts are resolved as they are read. */
  readonly specifiers?: true;
  /** Of each of the tables, where it holds some. */
  readonly fields?: FieldTable;
}

/** Every field of a kind of file: what its reader takes, and what its table in the README and its JSON schema say. */
export type FieldTable = Readonly<Record<string, Field>>;
