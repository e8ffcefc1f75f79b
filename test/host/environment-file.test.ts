import { describe, expect, test } from "bun:test";
import { chmodSync, chownSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FailureKind } from "../../lib/failure.ts";
import { parseEnvironment, readEnvironmentFile } from "../../lib/host/environment-file.ts";
import { runInChild } from "../support/child.ts";
import { failureOf } from "../support/failure.ts";
import { makeFifo, temporaryFolder } from "../support/folder.ts";
import { environmentLines } from "./environment-lines.ts";

describe("parseEnvironment()", () => {
  test.each(Object.entries(environmentLines))("reads %j", (text, variables) => {
    expect(Object.fromEntries(parseEnvironment(text))).toEqual(variables);
  });

  test("reads all of these lines in one file", () => {
    const all = Object.keys(environmentLines).filter((text) => !text.includes("never closed"));
    const variables = Object.assign({}, ...all.map((text) => environmentLines[text]));
    expect(Object.fromEntries(parseEnvironment(all.join("\n")))).toEqual(variables);
  });

  test("takes time in proportion to the length, not its square", () => {
    const long = 300_000;
    for (const text of [" ".repeat(long), "\\".repeat(long), "'".repeat(long), `"${"\\".repeat(long)}`]) {
      expect([...parseEnvironment(`A=x${text}`).keys(), ...parseEnvironment(`A=${text}`).keys()]).toEqual([
        "A",
        "A",
      ]);
    }
  });
});

describe("readEnvironmentFile()", () => {
  test("returns the variables, and undefined when the file is missing", () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "config");
    expect(readEnvironmentFile(path)).toBe(undefined);
    writeFileSync(path, "A=$(touch /tmp/x)`id`\n", { mode: 0o644 });
    expect(Object.fromEntries(readEnvironmentFile(path) ?? [])).toEqual({ A: "$(touch /tmp/x)`id`" });
  });

  const bad: ReadonlyArray<
    readonly [name: string, make: (path: string) => void, code: FailureKind, words: string]
  > = [
    ["a file that all can write", (path) => write(path, 0o646), "config", "can be written by others"],
    ["a file that a group can write", (path) => write(path, 0o660), "config", "can be written by others"],
    ["another user's file", foreign, "config", "can be written by others"],
    ["a file that is not text", (path) => write(path, 0o600, "A=\0"), "config", "is not UTF-8"],
    [
      "a file in another encoding",
      (path) => write(path, 0o600, Buffer.from([65, 61, 255])),
      "config",
      "is not UTF-8",
    ],
    ["a file that is too long", (path) => write(path, 0o600, "#".repeat(70_000)), "config", "is longer than"],
  ];
  test.each(bad)("refuses %s", async (_, make, code, words) => {
    using folder = temporaryFolder();
    const path = join(folder.path, "config");
    make(path);
    const failure = await failureOf(() => readEnvironmentFile(path));
    expect([failure.kind, failure.message]).toEqual([code, expect.stringContaining(words)]);
  });

  test("refuses a FIFO without waiting for a writer", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "config");
    makeFifo(path);
    const code = `
      try { readEnvironmentFile(${JSON.stringify(path)}) }
      catch ({ kind, message }) { console.log(kind, message) }`;
    expect(await runInChild("{ readEnvironmentFile }", "host/environment-file.ts", code)).toBe(
      `config ${path} is not a plain file\n`,
    );
  });
});

function write(path: string, mode: number, content: string | Buffer = "A=1\n"): void {
  writeFileSync(path, content);
  chmodSync(path, mode);
}

function foreign(path: string): void {
  write(path, 0o600);
  chownSync(path, 1234, 0);
}
