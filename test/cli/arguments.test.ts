import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Arguments, argumentValues, checkArguments } from "../../lib/cli/arguments.ts";
import { Failure } from "../../lib/failure.ts";
import { failureOf } from "../support/failure.ts";

const args = {
  path: { type: "positional", required: true },
  name: { type: "positional", required: true },
  owner: { type: "string", alias: "o" },
  hosts: { type: "string", alias: "s", list: true },
  role: { type: "string", mayBeEmpty: true },
  names: { type: "string", list: true, mayBeEmpty: true },
  wait: { type: "boolean", alias: "w", default: true },
  force: { type: "boolean", alias: "f" },
  "dry-run": { type: "boolean" },
} as const satisfies Arguments;

const unset = {
  ...{ owner: undefined, hosts: undefined, role: undefined, names: undefined },
  ...{ wait: true, force: undefined, "dry-run": undefined },
};

describe("checkArguments() turns into one plain form", () => {
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
    [["--role=", "a", "b"], plain()],
    [["--role", "", "a", "b"], plain()],
    [["--names=", "a", "--names=x", "--names=", "b"], plain("--names=x")],
    [["--force=true", "a", "b"], plain("--force")],
    [["--force=0", "a", "b"], plain("--no-force")],
    [["-f=F", "a", "b"], plain("--no-force")],
    [["-w=false", "a", "b"], plain("--no-wait")],
    [["--no-wait", "a", "b"], plain("--no-wait")],
    [["--wait", "a", "b"], plain("--wait")],
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

test("argumentValues() returns given values, and defaults for the others", () => {
  const values = (...line: string[]): unknown => argumentValues(args, checkArguments(args, line));
  expect(values("a", "b")).toEqual({ ...unset, path: "a", name: "b" });
  expect(values("-fo", "x=y", "-s1", "--hosts", "2", "-w=0", "--", "--a", "b")).toEqual({
    ...{ ...unset, path: "--a", name: "b" },
    ...{ owner: "x=y", hosts: "1,2", wait: false, force: true },
  });
  expect(values("--force=false", "--owner=two\nlines", "a", "b")).toEqual({
    ...{ ...unset, path: "a", name: "b", force: false, owner: "two\nlines" },
  });
  // Optional words are given all together or not at all.
  const optional = { path: { type: "positional", required: false } } as const satisfies Arguments;
  const without: unknown = argumentValues(optional, checkArguments(optional, []));
  expect(without).toEqual({ path: undefined });
});

describe("checkArguments() refuses", () => {
  test.each([
    [[], "<path> <name> "],
    [["a"], "<name> "],
    [["a", "b", "s.cret"], "there is one argument too many, after <name>"],
    [["a", "b", "s\ncret"], "there is one argument too many, after <name>"],
    [["a", "b", "c", "s.cret"], "there is one argument too many, after <name>"],
    [["a", "b", "--", "s.cret"], "there is one argument too many, after <name>"],
    [["a", " "], "<name> is empty"],
    [["--nothing", "a", "b"], "there is no flag --nothing"],
    [["-x", "a", "b"], "there is no flag -x"],
    [["-fx", "a", "b"], "there is no flag -x"],
    [["-f-", "a", "b"], "there is no flag --"],
    [["--=x", "a", "b"], "there is no flag --"],
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
    [["--force=yes", "a", "b"], "--force takes true or false"],
    [["--force=", "a", "b"], "--force takes true or false"],
    [["-f=", "a", "b"], "--force takes true or false"],
    [["--no-wait=false", "a", "b"], "--no-wait takes no value"],
    [["--no-wait", "--wait", "a", "b"], "--wait is given twice"],
    [["--no-constructor", "a", "b"], "there is no flag --no-constructor"],
    [["--role", "a", "b"], "<name> is missing"],
    [["a", "b", "--role"], "--role needs a value"],
    [["a", "b", "--owner"], "--owner needs a value"],
    [["--owner=", "a", "b"], "--owner needs a value"],
    [["--owner", "--force", "a", "b"], "--owner needs a value"],
    [["--owner", "--", "a", "b"], "--owner needs a value"],
    [["-o", "-f", "a", "b"], "-o needs a value"],
    [["-s", "", "a", "b"], "-s needs a value"],
    [["--owner=s\ufffdcret", "a", "b"], "--owner is not UTF-8"],
    [["--owner", "s\ufffdcret", "a", "b"], "an argument is not UTF-8"],
    [["a", "s\ufffdcret"], "an argument is not UTF-8"],
  ])("%j", async (given, words) => {
    const failure = await failureOf(() => checkArguments(args, given));
    expect(failure.kind).toBe("usage");
    expect(failure.message).toContain(words);
    expect(`${failure.message} ${failure.hint}`).not.toContain("cret");
    expect(failure.hint).toBeString();
  });

  test("a word where none is expected, without printing it, because it may be a token", async () => {
    const failure = await failureOf(() => checkArguments({ wait: args.wait }, ["--wait", "s.cret"]));
    expect(failure).toMatchObject({ message: "it takes no arguments", hint: "see --help" });
  });

  test.each([
    ["--host", "did you mean --hosts?"],
    ["--dryRun", "did you mean --dry-run?"],
    ["--dry_run=true", "did you mean --dry-run?"],
    ["--onwer=x", "did you mean --owner?"],
    ["--nothing", "see do-it --help"],
    ["--no-force", "see do-it --help"],
    ["-x", "see do-it --help"],
    ["--path=x", "see do-it --help"],
  ])("%s with the hint: %s", async (given, hint) => {
    const failure = await failureOf(() => checkArguments(args, [given, "a", "b"], "do-it"));
    expect(failure.hint).toBe(hint);
  });

  test("with a usage failure only, and returns accepted values unchanged", () => {
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
        "--no-wait",
        "--role=",
        "--force=0",
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
          if (error instanceof Failure && error.kind === "usage") return;
          throw error;
        }
        expect(plain.slice(-3, -2)).toEqual(["--"]);
        // The plain form may have `--no-` for every boolean flag, a command line only for one that is on by default.
        const again = plain.map((it) => (it === "--no-force" ? "--force=false" : it));
        expect(checkArguments(args, again)).toEqual(plain);
      }),
      { numRuns: 3000 },
    );
  });
});
