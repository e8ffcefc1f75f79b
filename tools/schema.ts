import { clusterFields } from "../lib/cluster/file-fields.ts";
import { fields as manifestFields } from "../lib/manifest/fields.ts";
import type { Field, FieldTable, FieldType } from "../lib/toml/fields.ts";

/** The kinds of files that admins write. */
const files = {
  manifest: { title: "A certificate of a host: /etc/vault/certs.d/NAME.toml", fields: manifestFields },
  cluster: { title: "A cluster: cluster.toml", fields: clusterFields },
} as const satisfies Readonly<Record<string, { title: string; fields: FieldTable }>>;
type FileName = keyof typeof files;

/** The JSON schema of a kind of file, for editors. */
export function fileSchema(name: FileName): Readonly<Record<string, unknown>> {
  return schemaOf(files[name]);
}

/** All schemas, by their file names in a release. */
export function allSchemas(): ReadonlyMap<string, object> {
  return new Map(Object.entries(files).map(([name, file]) => [`${name}.schema.json`, schemaOf(file)]));
}

function schemaOf({ title, fields }: { readonly title: string; readonly fields: FieldTable }) {
  return { $schema: "https://json-schema.org/draft/2020-12/schema", title, ...tableSchema(fields) };
}

function tableSchema(fields: FieldTable): object {
  const all = Object.entries(fields);
  return {
    type: "object",
    required: all.filter(([, field]) => field.required === true).map(([name]) => name),
    properties: Object.fromEntries(all.map(([name, field]) => [name, fieldSchema(field)])),
    additionalProperties: false,
  };
}

function fieldSchema(field: Field): object {
  const { description } = field;
  return {
    description: field.default === undefined ? description : `${description}; default: ${field.default}`,
    ...shape(field),
    // The examples are valid as TOML and as JSON. A table has none: each of its fields has one.
    ...(field.type === "tables" ? {} : { examples: [JSON.parse(field.example)] }),
  };
}

function shape({ type, choices, fields = {} }: Field): object {
  const string = { type: "string", ...(choices === undefined ? { minLength: 1 } : { enum: choices }) };
  const strings = { type: "array", items: string };
  const shapes: Readonly<Record<FieldType, object>> = {
    string,
    strings: { anyOf: [string, strings] },
    number: { type: "integer" },
    boolean: { type: "boolean" },
    commands: { type: "array", items: { type: "array", items: { type: "string" }, minItems: 1 } },
    tables: { type: "array", items: tableSchema(fields) },
  };
  return shapes[type];
}

const words: Readonly<Record<FieldType, string>> = {
  string: "string",
  strings: "list of strings",
  number: "number",
  boolean: "boolean",
  commands: "list of commands",
  tables: "list of tables",
};

/** The table of a file's fields in the documentation. */
export function fileTable(name: FileName): string {
  const head = ["field", "type", "default", "example", "what it says"];
  return [head, head.map(() => "---"), ...rows(files[name].fields)]
    .map((row) => `| ${row.join(" | ")} |`)
    .join("\n");
}

/** A row for each field. The fields of a table follow it, with its name before theirs. */
function rows(fields: FieldTable, prefix = ""): string[][] {
  return Object.entries(fields).flatMap(([name, field]) => {
    const kind = words[field.type] + (field.specifiers === true ? ", with specifiers" : "");
    const about = [field.description, field.choices?.map((it) => `\`"${it}"\``).join(" or ")];
    return [
      [
        `\`${prefix}${name}\``,
        kind,
        field.required === true ? "needed" : (field.default ?? ""),
        `\`${field.example}\``,
        about.filter((it) => it !== undefined).join(": "),
      ],
      ...rows(field.fields ?? {}, `${prefix}${name}.`),
    ];
  });
}

function isFileName(name: string): name is FileName {
  return Object.hasOwn(files, name);
}

/** `tools/schema.ts [FILE] [--markdown]` */
if (import.meta.main) {
  const name = process.argv.slice(2).find(isFileName) ?? "manifest";
  console.log(
    process.argv.includes("--markdown") ? fileTable(name) : JSON.stringify(fileSchema(name), null, 2),
  );
}
