import { describe, expect, test } from "bun:test";
import { type Arguments, checkArguments, letter } from "../../lib/cli/arguments.ts";
import { ExitCode } from "../../lib/cli/exit-code.ts";
import { type HelpPage, renderHelp } from "../../lib/cli/help.ts";
import { vaultHelper } from "../../scripts/vault-helper.ts";

const page: HelpPage = {
  name: "do-it",
  description: "does it",
  args: {
    path: { type: "positional", required: true, description: "where" },
    owner: {
      type: "string",
      alias: "o",
      description: "whose",
      valueHint: "USER",
      default: "root",
      env: "OWNER",
      group: "Files",
    },
    hosts: { type: "string", list: true, description: "for whom" },
    force: { type: "boolean", description: "all the same" },
    wait: { type: "boolean", default: true, group: "Files", description: `and ${"wait ".repeat(20)}for it` },
  } as const satisfies Arguments,
  examples: [["do-it --force x", "it is done"]],
  exitCodes: [
    [1, "it is wrong"],
    [2, "it would change"],
  ],
};

describe("renderHelp()", () => {
  const section = (text: string, heading: string) => text.split(`\n${heading}`)[1]?.split("\n\n")[0] ?? "";

  test("shows all of a command's data, with flags in their groups", () => {
    const text = renderHelp(page);
    expect(text.split("\nEnvironment")[0]).toBe(`do-it: does it

Usage: do-it [flags] <path>

  path  where

Files:
  -o, --owner USER   whose (default root; or OWNER)
      --[no-]wait    and wait wait wait wait wait wait wait wait wait wait wait
                     wait wait wait wait wait wait wait wait wait for it
                     (default on)

Flags:
      --hosts VALUE  for whom (comma-separated, or repeated)
      --force        all the same
`);
    expect(section(text, "Environment")).toContain("\n  VAULT_ADDR  ");
    expect(section(text, "Examples:")).toBe("\n  # it is done\n  do-it --force x");
    expect(section(text, "Exit codes:")).toStartWith(
      "\n  0    done, or nothing to do\n  1    it is wrong\n  2    it would change\n  64   ",
    );
  });

  test("names every exit code that a run can end with", () => {
    const told = [...section(renderHelp(page), "Exit codes:").matchAll(/^ {2}(\d+) /gm)];
    const ended = [...Object.values(ExitCode), 128 + 2, 128 + 15].toSorted((a, b) => a - b);
    expect(told.map(([, code]) => Number(code))).toEqual(ended);
  });

  test("shows arguments that belong together in one pair of brackets", () => {
    const optional = { type: "positional", required: false } as const;
    const text = renderHelp({ ...page, args: { a: optional, b: optional } });
    expect(text).toContain("\nUsage: do-it [flags] [<a> <b>]\n");
  });

  test("shows a command as it was called, and leaves words that only contain its name", () => {
    const examples = [["X=1 do-it a | do-it b --to ./do-it.txt", "twice"]] as const;
    const text = renderHelp({ ...page, examples }, "tool do");
    expect(text).toStartWith("tool do: does it\n\nUsage: tool do [flags] <path>\n");
    expect(section(text, "Examples:")).toEndWith("  X=1 tool do a | tool do b --to ./do-it.txt");
  });
});

/** Each command of the executable, by its name. */
const pages = await Promise.all(
  Object.entries(vaultHelper.commands).map(async ([name, load]) => [name, (await load()).page] as const),
);

describe.each(pages)("the help of %s", (name, page) => {
  const flags = Object.entries(page.args).filter(([, { type }]) => type !== "positional");

  test("has the command's name", () => {
    expect(page.name).toBe(name);
  });

  test("describes every flag and argument", () => {
    for (const [flag, argument] of Object.entries(page.args)) {
      expect([flag, argument.description]).toEqual([flag, expect.stringMatching(/^.{5,}[^.]$/)]);
    }
  });

  test("has each flag in one group, and no letter twice", () => {
    const lines = renderHelp(page).split("\n");
    const listed = lines.flatMap((line) => /^ {2}(?:-\w,| {3}) --(?:\[no-\])?([\w-]+)/.exec(line)?.[1] ?? []);
    expect(listed.toSorted()).toEqual(flags.map(([flag]) => flag).toSorted());
    const letters = flags.flatMap(([, argument]) => letter(argument) ?? []);
    expect(letters).toEqual([...new Set(letters)]);
  });

  test("fits a terminal of 80 columns, by either name of the command", () => {
    for (const text of [renderHelp(page), renderHelp(page, `vault-helper ${name}`)]) {
      expect(text.split("\n").filter((line) => line.length > 80)).toEqual([]);
    }
  });

  test("has at least three examples, and the command accepts them", () => {
    expect(page.examples.length).toBeGreaterThanOrEqual(3);
    for (const [command] of page.examples) {
      const words = typed(command);
      expect(words[0]).toBe(name);
      expect(checkArguments(page.args, words.slice(1))).toContain("--");
    }
  });

  test("shows examples that can be pasted when it is called through vault-helper", () => {
    const text = renderHelp(page, `vault-helper ${name}`);
    const shown = text.slice(text.indexOf("\nExamples:"), text.indexOf("\nExit codes:"));
    // The lines of a command, joined as a shell does.
    const examples = shown.replaceAll(/ \\\n +/g, " ");
    for (const [command] of page.examples) {
      expect(examples).toContain(`  ${command.replace(name, `vault-helper ${name}`)}\n`);
    }
  });
});

/** The words of a line's first command, without the variables before it. */
function typed(line: string): string[] {
  const [command = ""] = line.split(/ (?:[|>&]|2>)/);
  const words = command.split(" ");
  return words.slice(words.findIndex((word) => !/^[A-Z_]+=/.test(word)));
}
