/** The part of JSON Schema that our schemas use. */
export interface Schema {
  readonly type?: string;
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
  readonly minLength?: number;
  readonly minItems?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean;
}

const known = ["$schema", "title", "description", "examples", "type", "anyOf", "items", "enum"];
const more = ["minLength", "minItems", "required", "properties", "additionalProperties"];

/** The paths in a value that a schema does not allow. */
export function faults(schema: Schema, value: unknown, at = ""): string[] {
  const unknown = Object.keys(schema).filter((word) => ![...known, ...more].includes(word));
  if (unknown.length > 0) throw new Error(`this check does not know ${unknown}`);
  if (schema.anyOf !== undefined) {
    return schema.anyOf.some((one) => faults(one, value).length === 0) ? [] : [`${at}: none of its kinds`];
  }
  const types: Readonly<Record<string, boolean>> = {
    string: typeof value === "string" && value.length >= (schema.minLength ?? 0),
    integer: Number.isInteger(value),
    boolean: typeof value === "boolean",
    array: Array.isArray(value) && value.length >= (schema.minItems ?? 0),
    object: typeof value === "object" && value !== null && !Array.isArray(value),
  };
  if (types[schema.type ?? ""] !== true) return [`${at}: not ${schema.type}`];
  if (schema.enum !== undefined && !schema.enum.includes(value)) return [`${at}: not one of ${schema.enum}`];
  if (Array.isArray(value))
    return value.flatMap((item, i) => faults(schema.items ?? {}, item, `${at}[${i}]`));
  if (schema.type !== "object") return [];
  const given = Object.entries(Object(value));
  return [
    ...(schema.required ?? [])
      .filter((name) => !given.some(([it]) => it === name))
      .map((name) => `${name}: missing`),
    ...given.flatMap(([name, item]) => {
      const property = schema.properties?.[name];
      if (property !== undefined) return faults(property, item, name);
      return schema.additionalProperties === false ? [`${name}: unknown`] : [];
    }),
  ];
}
