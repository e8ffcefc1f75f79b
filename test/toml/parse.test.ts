import { describe, expect, test } from "bun:test";
import { locationOf, parseToml } from "../../lib/toml/parse.ts";
import { failureOf } from "../support/failure.ts";

const text = `# key_type
id = "demo"
list = [
  "id2",
  ["x"]
]
key_type = "ec"

[[role]]
name = "a"
key_type = "rsa"

[[rule]]
path = "x"

  [[ role ]] # the second
path = "y"
"key_type" = "ec"
last = 1
`;

describe("locationOf() returns the line", () => {
  test.each([
    ["id", undefined, 2],
    ["list", undefined, 3],
    ["key_type", undefined, 7],
    // A list of tables begins with its first table.
    ["role", undefined, 9],
    ["rule", undefined, 13],
    ["nowhere", undefined, 1],
    ["name", { table: "role", index: 0 }, 10],
    ["key_type", { table: "role", index: 0 }, 11],
    ["path", { table: "rule", index: 0 }, 14],
    ["path", { table: "role", index: 1 }, 17],
    ["key_type", { table: "role", index: 1 }, 18],
    // A missing field has the line of its table.
    ["path", { table: "role", index: 0 }, 9],
    ["name", { table: "role", index: 1 }, 16],
    ["last", { table: "rule", index: 0 }, 13],
  ])("of %s in %j", (field, within, line) => {
    expect(locationOf(field, text, "/a b", within)).toBe(`"/a b":${line}: ${field}`);
  });

  test("of the list when its tables are written inline", () => {
    const brackets = 'id = "a"\nrole = [{ name = "a" }, { name = "b" }]\nname = 1\n';
    expect(locationOf("name", brackets, "f", { table: "role", index: 1 })).toBe("f:2: name");
  });
});

describe("parseToml() names the line", () => {
  const blank = "\n".repeat(60_000);
  test.each([
    ["of a broken statement", 'id = "a"\n\nx\n', 3],
    ["where a broken statement begins", 'id = "a"\nlist = [\n  "b",\n  c\n]\n', 2],
    ["in a file with Windows line ends", 'id = "a"\r\nx\r\n', 2],
    ["in a long file", `x\n${blank}`, 1],
  ])(
    "%s",
    async (_, broken, line) => {
      const { message } = await failureOf(() => parseToml(broken, "f"));
      expect(message).toStartWith(`f:${line}: it is not TOML: `);
    },
    20_000,
  );
});
