import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { flagSpelling } from "../../lib/cli/help.ts";
import { generatedPages, writeGeneratedPages } from "../../tools/docs.ts";
import { ROOT } from "../../tools/main.ts";
import { prose, sentence } from "../../tools/markdown.ts";
import { callsOf, commandPages } from "../../tools/pages.ts";
import { temporaryFolder } from "../support/folder.ts";

const pages = await generatedPages();
const commands = await commandPages();

test.each([...pages])("%s is up to date with its data (else: npm run format)", (path, text) => {
  expect(readFileSync(join(ROOT, path), "utf8")).toBe(text);
});

test("writes only pages that differ", async () => {
  using folder = temporaryFolder();
  mkdirSync(join(folder.path, "docs"));
  expect(await writeGeneratedPages(folder.path)).toEqual([...pages.keys()]);
  const [first = ""] = pages.keys();
  writeFileSync(join(folder.path, first), "of last year");
  expect(await writeGeneratedPages(folder.path)).toEqual([first]);
  expect(readFileSync(join(folder.path, first), "utf8")).toBe(pages.get(first) ?? "");
  expect(await writeGeneratedPages(folder.path)).toEqual([]);
});

test.each(commands.map((command) => [command.page.name, command] as const))(
  "the reference has the calls, flags, examples and exit codes of %s",
  (name, command) => {
    const [, rest = ""] = pages.get("docs/reference.md")?.split(`\n## ${name}\n`) ?? [];
    const [section = ""] = rest.split("\n## ");
    const { page } = command;
    expect(section).toContain(prose(sentence(page.description)));
    for (const call of callsOf(command)) expect(section).toContain(`\n    ${call} [flags]`);
    for (const [flag, argument] of Object.entries(page.args)) {
      const { short, long, value } = flagSpelling(flag, argument);
      if (argument.type === "positional") expect(section).toContain(`| \`<${flag}>\` | `);
      else expect(section).toContain(`\`${long}${value === undefined ? "" : ` ${value}`}\``);
      if (short !== undefined) expect(section).toContain(`, \`${short}\` | `);
      expect(section).toContain(prose(argument.description ?? "").replaceAll("|", "\\|"));
    }
    // The lines of a command, joined as a shell does.
    const joined = section.replaceAll(/ \\\n +/g, " ");
    for (const [example] of page.examples)
      expect(joined).toContain(example.replace(name, `vault-helper ${name}`));
    for (const [code, meaning] of page.exitCodes ?? []) expect(section).toContain(`| ${code} | ${meaning} |`);
  },
);
