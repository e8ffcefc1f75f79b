import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { fields } from "../../lib/manifest/fields.ts";
import { fileSchema, fileTable } from "../../tools/schema.ts";
import { faults, type Schema } from "../support/json-schema.ts";
import { needed, textOf } from "./read.ts";

const schema: Schema = JSON.parse(JSON.stringify(fileSchema("manifest")));
const check = (values: Readonly<Record<string, string | undefined>>) =>
  faults(schema, JSON.parse(JSON.stringify(Bun.TOML.parse(textOf(values)))));

describe("the schema of a manifest", () => {
  test("accepts the required fields alone, and every field with its example", () => {
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
    expect(JSON.parse(run())).toEqual(JSON.parse(JSON.stringify(fileSchema("manifest"))));
  });

  test("prints a table with a row for each field", () => {
    const rows = run("--markdown").trimEnd().split("\n");
    expect(rows).toEqual(fileTable("manifest").split("\n"));
    expect(rows.slice(2).map((row) => row.split(" | ")[0])).toEqual(
      Object.keys(fields).map((name) => `| \`${name}\``),
    );
    expect(new Set(rows.map((row) => row.split(" | ").length))).toEqual(new Set([5]));
  });
});
