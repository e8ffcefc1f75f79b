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

type Reader = "object" | "text" | "filledText" | "number" | "truth" | "texts";

const readers: ReadonlyArray<readonly [reader: Reader, reads: readonly string[], kind: string]> = [
  ["object", ["object"], "field %s is not a JSON object"],
  ["text", ["text", "empty"], "has no field %s that is a text"],
  ["filledText", ["text"], "has no field %s that is a text"],
  ["number", ["number"], "has no field %s that is a number"],
  ["truth", ["truth"], "has no field %s that is true or false"],
  ["texts", ["list", "none", "nothing", "missing"], "has no field %s that is a list of texts"],
];

const names = [...Object.keys(answer.fields), "missing"];
const refusals = readers.flatMap(([reader, reads, kind]) =>
  names.filter((name) => !reads.includes(name)).map((name) => [reader, name, kind] as const),
);

describe("Answer", () => {
  test("gives each field in its type", () => {
    expect(answer.text("text")).toBe("hvs.secret");
    expect(answer.text("empty")).toBe("");
    expect(answer.filledText("text")).toBe("hvs.secret");
    expect(answer.number("number")).toBe(7);
    expect(answer.truth("truth")).toBe(false);
    expect(answer.texts("list")).toEqual(["a", "b"]);
    expect(answer.object("object").text("deep")).toBe("down");
  });

  test.each(["none", "nothing", "missing"])("gives an empty list for %s", (name) => {
    expect(answer.texts(name)).toEqual([]);
  });

  test.each(refusals)("%s() refuses %s", async (reader, name, kind) => {
    const failure = await failureOf(() => answer[reader](name));
    expect(failure.message).toStartWith("the answer to GET x/y");
    expect(failure.message).toContain(kind.replace("%s", name));
    expect(failure.message).not.toContain("hvs.secret");
    expect(failure.kind).toBe("unavailable");
    expect(failure.hint).toContain("check VAULT_ADDR");
  });

  test("names the way to a field further down", async () => {
    const failure = await failureOf(() => answer.object("object").number("deep"));
    expect(failure.message).toBe("the answer to GET x/y, field object has no field deep that is a number");
  });

  test.each([[undefined], [null], ["text"], [7], [true], [[]]])("is no %p", async (value) => {
    const failure = await failureOf(() => new Answer("GET x/y", value));
    expect(failure.message).toBe("the answer to GET x/y is not a JSON object");
  });
});
