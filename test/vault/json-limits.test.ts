import { describe, expect, test } from "bun:test";
import { findExcess } from "../../lib/vault/json-limits.ts";
import { runInChild } from "../support/child.ts";

const deep = (depth: number, open = "[", close = "]") => open.repeat(depth) + close.repeat(depth);
const [depth, values] = ["nested too deep", "made of too many values"] as const;

describe("findExcess()", () => {
  const rows: ReadonlyArray<readonly [what: string, text: string, excess: string | undefined]> = [
    ["nothing", "", undefined],
    ["a list of the greatest depth", deep(200), undefined],
    ["a deeper one", deep(201), depth],
    ["an object of the greatest depth", deep(200, '{"a":', "}"), undefined],
    ["a deeper one, and no end of it", '{"a":'.repeat(201), depth],
    ["lists beside each other", `[${"[[]],".repeat(150)}[]]`, undefined],
    ["brackets in a string", `["${"[".repeat(1000)}"]`, undefined],
    ["a string with quotation marks in it", `["\\"${"[".repeat(1000)}"]`, undefined],
    ["a string that ends in a backslash", `["\\\\",${deep(200)}]`, depth],
    ["a string without an end", `["${"[".repeat(1000)}`, undefined],
    ["as many values as may be", `[${"0,".repeat(499)}0]`, undefined],
    ["a value more", `[${"0,".repeat(500)}0]`, values],
    ["as many lists", `[${"[],".repeat(250)}0]`, values],
    ["commas in a string", `["${",".repeat(1000)}"]`, undefined],
    ["text that is not JSON", "<html>".repeat(1000), undefined],
  ];
  test.each(rows.map(([what, text, excess]) => [what, excess, text] as const))(
    "of %s says %p",
    (_, excess, text) => {
      expect<string | undefined>(findExcess(text, 500)).toBe(excess);
    },
  );

  test("takes time in proportion to the length of any text", async () => {
    // Some tenths of a second in all; by the square of the length, minutes each.
    const code = String.raw`
      for (const part of ['"', "\\", '\\"', '"\\', "[]", '"a",', "\\\\"]) {
        const text = part.repeat(2_000_000 / part.length);
        for (const it of [text, '"' + text]) findExcess(it, Infinity);
      }
      console.log("done");`;
    expect(await runInChild("{ findExcess }", "vault/json-limits.ts", code)).toBe("done\n");
  });
});
