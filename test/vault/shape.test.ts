import { describe, expect, test } from "bun:test";
import { Answer } from "../../lib/vault/shape.ts";
import { failureOf } from "../support/failure.ts";

const answer = new Answer("GET x/y", {
  text: "hvs.secret",
  empty: "",
  number: 7,
  truth: false,
  nothing: null,
  list: ["a", "b"],
  none: [],
  mixed: ["a", 1],
  object: { deep: "down" },
});

type Reader = "object" | "string" | "nonEmptyString" | "number" | "boolean" | "strings";

const readers: ReadonlyArray<readonly [reader: Reader, reads: readonly string[], kind: string]> = [
  ["object", ["object"], "field %s is not a JSON object"],
  ["string", ["text", "empty"], "has no field %s that is a string"],
  ["nonEmptyString", ["text", "empty"], "has no field %s that is a string"],
  ["number", ["number"], "has no field %s that is a number"],
  ["boolean", ["truth"], "has no field %s that is a boolean"],
  ["strings", ["list", "none", "nothing", "missing"], "has no field %s that is a list of strings"],
];

const names = [...Object.keys(answer.fields), "missing"];
const refusals = readers.flatMap(([reader, reads, kind]) =>
  names.filter((name) => !reads.includes(name)).map((name) => [reader, name, kind] as const),
);

describe("Answer", () => {
  test("reads each field in its type", () => {
    expect(answer.string("text")).toBe("hvs.secret");
    expect(answer.string("empty")).toBe("");
    expect(answer.nonEmptyString("text")).toBe("hvs.secret");
    expect(answer.number("number")).toBe(7);
    expect(answer.boolean("truth")).toBe(false);
    expect(answer.strings("list")).toEqual(["a", "b"]);
    expect(answer.object("object").string("deep")).toBe("down");
  });

  test.each(["none", "nothing", "missing"])("reads %s as an empty list", (name) => {
    expect(answer.strings(name)).toEqual([]);
  });

  test.each(refusals)("%s() refuses %s", async (reader, name, kind) => {
    const failure = await failureOf(() => answer[reader](name));
    expect(failure.message).toStartWith("the answer to GET x/y");
    expect(failure.message).toContain(kind.replace("%s", name));
    expect(failure.message).not.toContain("hvs.secret");
    expect(failure.kind).toBe("unavailable");
    expect(failure.hint).toContain("check VAULT_ADDR");
  });

  test("nonEmptyString() refuses an empty string", async () => {
    const failure = await failureOf(() => answer.nonEmptyString("empty"));
    expect(failure.message).toBe("the answer to GET x/y has no field empty that is a non-empty string");
  });

  test("names the path to a nested field", async () => {
    const failure = await failureOf(() => answer.object("object").number("deep"));
    expect(failure.message).toBe("the answer to GET x/y, field object has no field deep that is a number");
  });

  test.each([[undefined], [null], ["text"], [7], [true], [[]]])("refuses %p", async (value) => {
    const failure = await failureOf(() => new Answer("GET x/y", value));
    expect(failure.message).toBe("the answer to GET x/y is not a JSON object");
  });
});
