import { describe, expect, test } from "bun:test";
import { findExcess } from "../../lib/vault/json-limits.ts";

const deep = (depth: number, open = "[", close = "]") => open.repeat(depth) + close.repeat(depth);
const [depth, values] = ["nested too deep", "made of too many values"] as const;

describe("findExcess()", () => {
  const rows: ReadonlyArray<readonly [what: string, text: string, excess: string | undefined]> = [
    ["nothing", "", undefined],
    ["a list that is as deep as may be", deep(200), undefined],
    ["a deeper one", deep(201), depth],
    ["an object that is as deep as may be", deep(200, '{"a":', "}"), undefined],
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
    ["what is no JSON", "<html>".repeat(1000), undefined],
  ];
  test.each(rows.map(([what, text, excess]) => [what, excess, text] as const))(
    "of %s says %p",
    (_, excess, text) => {
      expect<string | undefined>(findExcess(text, 500)).toBe(excess);
    },
  );

  test("takes time by the length alone, whatever the text is", () => {
    const size = 2_000_000;
    for (const text of ['"', "\\", '\\"', '"\\', "[]", '"a",', "\\\\"].map((part) =>
      part.repeat(size / part.length),
    )) {
      const begin = performance.now();
      findExcess(text, Number.POSITIVE_INFINITY);
      findExcess(`"${text}`, Number.POSITIVE_INFINITY);
      expect(performance.now() - begin).toBeLessThan(1_000);
    }
  });
});
