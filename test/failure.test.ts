import { expect, test } from "bun:test";
import { Failure, reworded } from "../lib/failure.ts";

test("reworded() changes the words that are given, and keeps everything else", () => {
  const cause = new Error("a cause");
  const failure = new Failure("temporary", "it failed", { hint: "wait", details: ["its last line"], cause });
  const kept = { kind: "temporary", details: ["its last line"], cause };
  expect(reworded(failure, { sentence: "a: it failed" })).toMatchObject({
    ...{ ...kept, message: "a: it failed", hint: "wait" },
  });
  expect(reworded(failure, { hint: "look" })).toMatchObject({ ...kept, message: "it failed", hint: "look" });
});
