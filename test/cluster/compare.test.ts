import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { differences } from "../../lib/cluster/compare.ts";

const isSame = (wanted: unknown, found: unknown) => differences({ it: wanted }, { it: found }).length === 0;

/** Words without a comma, since older servers join lists with commas. */
const word = fc.stringMatching(/^[a-z:*.-]{1,8}$/);
const words = fc.uniqueArray(word, { maxLength: 5 });
const seconds = fc.integer({ min: 0, max: 2 ** 40 });

/** How Go prints a duration. */
function goDuration(total: number): string {
  return `${Math.floor(total / 3600)}h${Math.floor((total % 3600) / 60)}m${total % 60}s`;
}

describe("differences()", () => {
  test.each([
    [3600, "1h"],
    [3600, "60m0s"],
    [3600, "3600"],
    [0, "0"],
    [0, "0s"],
    [[], null],
    [[], ""],
    [["a"], "a"],
    [["b", "a"], "a,b"],
    [true, "true"],
    ["", ""],
  ])("finds no difference between %j and %j", (wanted, found) => {
    expect(isSame(wanted, found)).toBe(true);
  });

  test.each([
    [3600, 3601],
    [3600, "1h1s"],
    [0, ""],
    [0, null],
    [1, "one"],
    [1, [1]],
    [["a"], []],
    [["a"], null],
    [[], ["a"]],
    [
      ["a", "a"],
      ["a", "b"],
    ],
    [["a"], ["a", "a"]],
    [[], 0],
    [["a"], { a: 1 }],
    [true, false],
    [false, "true"],
    [false, null],
    ["", null],
    ["a", "A"],
  ])("finds a difference between %j and %j", (wanted, found) => {
    expect(differences({ it: wanted }, { it: found })).toEqual([{ field: "it", from: found, to: wanted }]);
  });

  test("ignores fields that only one side has", () => {
    expect(differences({ a: 1, b: [2] }, { a: 1, c: "theirs" })).toEqual([]);
  });

  test("returns each difference in the order of the wanted fields", () => {
    expect(differences({ a: 1, b: 2, c: 3 }, { c: 0, b: 2, a: 0 }).map(({ field }) => field)).toEqual([
      "a",
      "c",
    ]);
  });

  test("accepts a duration in any form", () => {
    fc.assert(
      fc.property(seconds, (total) => {
        for (const found of [total, String(total), `${total}s`, goDuration(total)]) {
          if (!isSame(total, found)) return false;
        }
        return !isSame(total, goDuration(total + 1));
      }),
    );
  });

  test("accepts a list in any order and form, and finds another list", () => {
    fc.assert(
      fc.property(words, fc.infiniteStream(fc.nat()), word, (list, order, more) => {
        const shuffled = list.map((it) => [order.next().value, it] as const).sort(([a], [b]) => a - b);
        const found = shuffled.map(([, it]) => it);
        fc.pre(!list.includes(more));
        return (
          isSame(list, found) &&
          isSame(list, found.join(",")) &&
          (list.length > 0 || isSame(list, null)) &&
          !isSame(list, [...found, more]) &&
          !isSame([...list, more], found)
        );
      }),
    );
  });

  test("finds any value of another type", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 1 }), (found) => {
        // It never throws, and finds no random value equal.
        return (
          !isSame("a string that is not among these values", found) && !isSame(["no", "such", "list"], found)
        );
      }),
    );
  });
});
