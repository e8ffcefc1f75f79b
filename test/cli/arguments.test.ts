import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Arguments, checkArguments } from "../../lib/cli/arguments.ts";
import { ExitCode, Failure } from "../../lib/failure.ts";
import { failureOf } from "../support/failure.ts";

const args = {
  path: { type: "positional", required: true },
  name: { type: "positional", required: true },
  owner: { type: "string", alias: "o" },
  hosts: { type: "string", alias: "s", list: true },
  force: { type: "boolean", alias: "f" },
  "dry-run": { type: "boolean" },
} as const satisfies Arguments;

describe("checkArguments() gives one plain form of", () => {
  const plain = (...flags: string[]) => [...flags, "--", "a", "b"];
  test.each([
    [["a", "b"], plain()],
    [["--owner", "x", "a", "b"], plain("--owner=x")],
    [["a", "--owner=x", "b"], plain("--owner=x")],
    [["a", "b", "-o", "x"], plain("--owner=x")],
    [["-ox", "a", "b"], plain("--owner=x")],
    [["-f", "a", "b", "--dry-run"], plain("--force", "--dry-run")],
    [["-fo", "x", "a", "b"], plain("--force", "--owner=x")],
    [["--owner=-1", "a", "b"], plain("--owner=-1")],
    [["--owner=a=b", "a", "b"], plain("--owner=a=b")],
    [["--owner", "-", "a", "b"], plain("--owner=-")],
    [["-s", "x", "--hosts=y,z", "a", "-s", "w", "b"], plain("--hosts=x,y,z,w")],
    [["--", "a", "b"], plain()],
    [
      ["a", "--", "--force"],
      ["--", "a", "--force"],
    ],
    [
      ["a", "-"],
      ["--", "a", "-"],
    ],
  ])("%j", (given, wanted) => {
    expect(checkArguments(args, given)).toEqual(wanted);
  });
});

describe("checkArguments() refuses", () => {
  test.each([
    [[], "<path> <name> "],
    [["a"], "<name> "],
    [["a", "b", "c"], "there is an argument too many, after <name>"],
    [["a", "b", "c\nd"], "there is an argument too many, after <name>"],
    [["a", " "], "<name> is empty"],
    [["--nothing", "a", "b"], "there is no flag --nothing"],
    [["-x", "a", "b"], "there is no flag -x"],
    [["-fx", "a", "b"], "there is no flag -x"],
    [["--o", "a", "b"], "there is no flag --o"],
    [["--own", "x", "a", "b"], "there is no flag --own"],
    [["--dryRun", "a", "b"], "there is no flag --dryRun"],
    [["--no-force", "a", "b"], "there is no flag --no-force"],
    [["--path=a", "b"], "there is no flag --path"],
    [["--__proto__", "a", "b"], "there is no flag --__proto__"],
    [["--constructor=x", "a", "b"], "there is no flag --constructor"],
    [["--owner", "x", "-o", "y", "a", "b"], "-o is given twice"],
    [["--owner=x", "--owner=x", "a", "b"], "--owner is given twice"],
    [["-f", "--force", "a", "b"], "--force is given twice"],
    [["--force=true", "a", "b"], "--force takes no value"],
    [["--force=", "a", "b"], "--force takes no value"],
    [["a", "b", "--owner"], "--owner needs a value"],
    [["--owner=", "a", "b"], "--owner needs a value"],
    [["--owner", "--force", "a", "b"], "--owner needs a value"],
    [["--owner", "--", "a", "b"], "--owner needs a value"],
    [["-o", "-f", "a", "b"], "-o needs a value"],
    [["-s", "", "a", "b"], "-s needs a value"],
  ])("%j", async (given, words) => {
    const failure = await failureOf(() => checkArguments(args, given));
    expect(failure.exitCode).toBe(ExitCode.usage);
    expect(failure.message).toContain(words);
    expect(failure.hint).toBeString();
  });

  test("nothing with another error, and gives back what it takes unchanged", () => {
    const word = fc.oneof(
      fc.string({ maxLength: 4 }),
      fc.constantFrom(
        "--",
        "-",
        "--owner",
        "-o",
        "--force",
        "-f",
        "-s",
        "--hosts=a",
        "--owner=b",
        "a",
        "b",
        "-fo",
      ),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 7 }), (given) => {
        let plain: string[];
        try {
          plain = checkArguments(args, given);
        } catch (error) {
          if (error instanceof Failure && error.exitCode === ExitCode.usage) return;
          throw error;
        }
        expect(plain.slice(-3, -2)).toEqual(["--"]);
        expect(checkArguments(args, plain)).toEqual(plain);
      }),
      { numRuns: 3000 },
    );
  });
});
