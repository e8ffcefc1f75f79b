import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { fields } from "../../lib/manifest/fields.ts";
import { manifestSchema, manifestTable } from "../../tools/schema.ts";
import { needed, textOf } from "./read.ts";

interface Schema {
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

/** What of a value a schema does not allow: as much of JSON Schema as ours uses, and no more. */
function faults(schema: Schema, value: unknown, at = ""): string[] {
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

const schema: Schema = JSON.parse(JSON.stringify(manifestSchema()));
const check = (values: Readonly<Record<string, string | undefined>>) =>
  faults(schema, JSON.parse(JSON.stringify(Bun.TOML.parse(textOf(values)))));

describe("the schema of a manifest", () => {
  test("takes the fewest fields, and every field as its example has it", () => {
    expect(check({})).toEqual([]);
    expect(
      check(Object.fromEntries(Object.entries(fields).map(([name, { example }]) => [name, example]))),
    ).toEqual([]);
    expect(check({ window: '"02:00-04:00"' })).toEqual([]);
  });

  test.each(Object.keys(needed))("needs %s", (name) => {
    expect(check({ [name]: undefined })).toEqual([`${name}: missing`]);
  });

  test.each([
    ["destinations", '"x"', "destinations: unknown"],
    ["key_type", '"dsa"', "key_type: not one of rsa,ec,ed25519"],
    ["renew", '"daily"', "renew: not one of due,always"],
    ["key_bit_size", '"256"', "key_bit_size: not integer"],
    ["ca_chain", '"yes"', "ca_chain: not boolean"],
    ["san_hosts", "1", "san_hosts: none of its kinds"],
    ["common_name", '""', "common_name: not string"],
    ["on_change", '["/bin/true"]', "on_change[0]: not array"],
    ["on_change", "[[]]", "on_change[0]: not array"],
  ])("refuses %s = %s", (name, value, fault) => {
    expect(check({ [name]: value })).toEqual([fault]);
  });
});

describe("tools/schema.ts", () => {
  const run = (...args: string[]) =>
    Bun.spawnSync([
      process.execPath,
      join(import.meta.dir, "../../tools/schema.ts"),
      ...args,
    ]).stdout.toString();

  test("prints the schema as JSON", () => {
    expect(JSON.parse(run())).toEqual(JSON.parse(JSON.stringify(manifestSchema())));
  });

  test("prints a table with a row for each field", () => {
    const rows = run("--markdown").trimEnd().split("\n");
    expect(rows).toEqual(manifestTable().split("\n"));
    expect(rows.slice(2).map((row) => row.split(" | ")[0])).toEqual(
      Object.keys(fields).map((name) => `| \`${name}\``),
    );
    expect(new Set(rows.map((row) => row.split(" | ").length))).toEqual(new Set([5]));
  });
});
