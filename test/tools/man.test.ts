import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { isOnByDefault } from "../../lib/cli/arguments.ts";
import { asCalled, everyExitCode } from "../../lib/cli/help.ts";
import { packagedLinkNames } from "../../tools/build.ts";
import { type ManPages, manPages } from "../../tools/man.ts";
import { commandPages } from "../../tools/pages.ts";
import { temporaryFolder } from "../support/folder.ts";
import { output } from "./released.ts";

const folder = temporaryFolder();
const commands = await commandPages();
let man: ManPages;

beforeAll(async () => {
  man = await manPages({ version: "1.2.3", date: "2026-01-31" });
  for (const [name, page] of man.pages) writeFileSync(join(folder.path, name), page);
});
afterAll(() => folder[Symbol.dispose]());

/** A page as its reader sees it, without margins. */
async function shown(name: string): Promise<string> {
  const text = await output(["mandoc", "-T", "utf8", "-O", "width=200", join(folder.path, name)]);
  // Bold and italic are printed as on paper: a letter, a backspace, and the letter again.
  return text.replaceAll(/.[\b]/g, "").replaceAll(/\s+/g, " ");
}

describe("man pages", () => {
  test("are one for the tool and one for each command, and other names are links", () => {
    const names = commands.map(({ page }) => `vault-helper-${page.name}.1`);
    expect([...man.pages.keys()].sort()).toEqual(["vault-helper.1", ...names].sort());
    for (const name of packagedLinkNames()) expect(man.links.get(`${name}.1`)).toBe(`vault-helper-${name}.1`);
    expect(man.links.get("vault-helper-cert.1")).toBe("vault-helper-issue-cert.1");
    for (const target of man.links.values()) expect(man.pages.has(target)).toBe(true);
  });

  test("pass mandoc's check", async () => {
    const paths = [...man.pages.keys()].map((name) => join(folder.path, name));
    expect(await output(["mandoc", "-T", "lint", "-W", "all", ...paths])).toBe("");
  });

  test("fail mandoc's check when they are broken", () => {
    const path = join(folder.path, "wrong.1");
    writeFileSync(path, man.pages.get("vault-helper.1")?.replace(".SH SYNOPSIS", ".SYNOPSIS") ?? "");
    expect(Bun.spawnSync(["mandoc", "-T", "lint", path]).stdout.toString()).toContain("unknown macro");
  });

  test.each(commands.map(({ page }) => [page.name, page] as const))(
    "of %s has its flags, examples and exit codes",
    async (name, page) => {
      const text = await shown(`vault-helper-${name}.1`);
      expect(text).toContain(`- ${page.description}`.replaceAll(/\s+/g, " "));
      for (const [name, argument] of Object.entries(page.args)) {
        const flag = isOnByDefault(argument) ? `--[no-]${name}` : `--${name}`;
        expect(text).toContain(argument.type === "positional" ? name : flag);
        expect(text).toContain(argument.description ?? "");
      }
      for (const [command] of page.examples) {
        expect(text).toContain(asCalled(command, name, `vault-helper ${name}`));
      }
      for (const [code, meaning] of [...everyExitCode, ...(page.exitCodes ?? [])])
        expect(text).toContain(`${code} ${meaning}`);
    },
  );

  test("list every command on the tool's page", async () => {
    const text = await shown("vault-helper.1");
    for (const { page, words } of commands) {
      expect(text).toContain(`${words.join(", ")} ${page.description}`);
      expect(text).toContain(`vault-helper-${page.name}(1)`);
    }
  });
});
