import { describe, expect, test } from "bun:test";
import type { Arguments } from "../../lib/cli/arguments.ts";
import { type HelpPage, renderHelp } from "../../lib/cli/help.ts";
import { ExitCode } from "../../lib/failure.ts";
import { issueCert } from "../../scripts/issue-cert.ts";
import { renewToken } from "../../scripts/renew-token.ts";

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
    },
    hosts: { type: "string", list: true, description: "for whom" },
    force: { type: "boolean", description: "all the same" },
  } as const satisfies Arguments,
  examples: [["do-it --force x", "it is done"]],
  exitCodes: [[2, "it would change"]],
};

describe("renderHelp()", () => {
  test("tells all that a command's data says", () => {
    const codes = (text: string) => text.split("Exit codes:\n")[1] ?? "";
    const text = renderHelp(page);
    expect(text.split("\nExit codes:")[0]).toBe(`do-it: does it

Usage: do-it [flags] <path>

  path  where

Flags:
  -o, --owner USER   whose (default root; or OWNER)
      --hosts VALUE  for whom (comma-separated, or given again)
      --force        all the same

Examples:
  # it is done
  do-it --force x
`);
    expect(codes(text)).toStartWith("  0   done, or nothing to do\n  2   it would change\n  64  ");
  });

  test("names every exit code that a run can end with", () => {
    const told = [...renderHelp(page).matchAll(/^ {2}(\d+) /gm)].map(([, code]) => Number(code));
    expect(told).toEqual(Object.values(ExitCode).toSorted((a, b) => a - b));
  });
});

describe.each([issueCert, renewToken].map((script) => [script.name, script] as const))(
  "the help of %s",
  (_, script) => {
    test("describes every flag and argument, and no line is longer than a terminal twice", () => {
      for (const [name, argument] of Object.entries<Arguments[string]>(script.args)) {
        expect([name, argument.description]).toEqual([name, expect.stringMatching(/^.{5,}[^.]$/)]);
      }
      expect(
        Math.max(
          ...renderHelp(script)
            .split("\n")
            .map((line) => line.length),
        ),
      ).toBeLessThan(160);
    });

    test("has examples that use only what there is", () => {
      const flags = Object.entries<Arguments[string]>(script.args).flatMap(([name, it]) => [
        `--${name}`,
        ...("alias" in it ? [`-${it.alias}`] : []),
      ]);
      expect(script.examples.length).toBeGreaterThan(1);
      for (const [command] of script.examples) {
        expect(command).toStartWith(script.name);
        for (const flag of command.match(/(?<= )--?[a-z][a-z-]*/g) ?? []) expect(flags).toContain(flag);
      }
    });
  },
);
