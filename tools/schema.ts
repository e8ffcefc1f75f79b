import { type Field, type FieldType, fields } from "../lib/manifest/fields.ts";

/** The JSON schema of a manifest, for editors; `--markdown`: the README's table of its fields. */
export function manifestSchema(): Readonly<Record<string, unknown>> {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "A certificate of a host: /etc/vault/certs.d/NAME.toml",
    type: "object",
    required: all.filter(([, field]) => field.required === true).map(([name]) => name),
    properties: Object.fromEntries(all.map(([name, field]) => [name, fieldSchema(field)])),
    additionalProperties: false,
  };
}

const all: ReadonlyArray<readonly [string, Field]> = Object.entries(fields);
const text = { type: "string", minLength: 1 };
const texts = { type: "array", items: text };
const shapes: Readonly<Record<FieldType, object>> = {
  text,
  texts: { anyOf: [text, texts] },
  number: { type: "integer" },
  truth: { type: "boolean" },
  commands: { type: "array", items: { ...texts, minItems: 1 } },
};

function fieldSchema({ type, choices, description, example, ...field }: Field): object {
  return {
    description: field.default === undefined ? description : `${description}; default: ${field.default}`,
    ...shapes[type],
    ...(choices === undefined ? {} : { enum: choices }),
    // As TOML has them, and JSON, too.
    examples: [JSON.parse(example)],
  };
}

const words: Readonly<Record<FieldType, string>> = {
  text: "text",
  texts: "list of texts",
  number: "number",
  truth: "true or false",
  commands: "list of commands",
};

export function manifestTable(): string {
  const rows = all.map(([name, field]) => {
    const kind = words[field.type] + (field.specifiers === true ? ", with specifiers" : "");
    const about = [field.description, field.choices?.map((it) => `\`"${it}"\``).join(" or ")];
    return [
      `\`${name}\``,
      kind,
      field.required === true ? "needed" : (field.default ?? ""),
      `\`${field.example}\``,
      about.filter((it) => it !== undefined).join(": "),
    ];
  });
  const head = ["field", "type", "default", "example", "what it says"];
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

if (import.meta.main) {
  console.log(
    process.argv.includes("--markdown") ? manifestTable() : JSON.stringify(manifestSchema(), null, 2),
  );
}
