import { describe, expect, test } from "bun:test";
import { checkArguments } from "../lib/cli/arguments.ts";
import { findCommand } from "../lib/cli/tool.ts";
import { vaultHelper } from "../scripts/vault-helper.ts";
import { linkNames } from "../tools/build.ts";
import { commandPages } from "../tools/pages.ts";
import { pagesIn } from "./support/markdown.ts";
import { callsIn, commandBlocks } from "./support/pasted.ts";

/** Checks the arguments of a call like the command itself, without running it. Returns the command's name. */
async function checkedCommand([program = "", ...words]: readonly string[]): Promise<string> {
  const [name = "", ...rest] = program === vaultHelper.name ? words : [program, ...words];
  const load = findCommand(vaultHelper, name);
  if (load === undefined) throw new Error(`there is no command ${name}`);
  const { page } = await load();
  checkArguments(page.args, rest);
  return page.name;
}

const isOurs = ([program]: readonly string[]) => program !== "vault" && program !== "hostname";

describe.each(["docs/kubernetes.md", "docs/reference.md"])("%s", (page) => {
  test.each(commandBlocks(page))("has commands that work when pasted: %#", async (block) => {
    const calls = (await callsIn(block)).filter(isOurs);
    expect(calls).not.toEqual([]);
    for (const call of calls) await checkedCommand(call);
  });
});

const names = [vaultHelper.name, ...linkNames()];
const written = pagesIn("docs").filter((name) => !/^(kubernetes|reference)\.md$/.test(name));
const pages = ["README.md", ...written.map((name) => `docs/${name}`)];
const lines = pages.flatMap((page) =>
  commandBlocks(page)
    .flatMap((block) => block.replaceAll(/ \\\n +/g, " ").split("\n"))
    .filter((line) => names.includes(line.split(" ")[0] ?? "") && !/ [A-Z]{3,}\b|^\S+ *\[/.test(line))
    .map((line) => [line.replace(/ +#.*/, ""), page] as const),
);

test("most pages for admins have such lines", () => {
  expect(new Set(lines.map(([, page]) => page)).size).toBeGreaterThan(6);
});

test.each(lines)("%s, a line of %s, works when pasted", async (line) => {
  const calls = (await callsIn(`host=host; ${line}`)).filter(isOurs);
  expect(calls).not.toEqual([]);
  for (const call of calls) await checkedCommand(call);
});

test("the reference shows each example of each command", async () => {
  const blocks = commandBlocks("docs/reference.md");
  const calls = (await Promise.all(blocks.map(callsIn))).flat().filter(isOurs);
  const names = await Promise.all(calls.map(checkedCommand));
  for (const { page } of await commandPages()) {
    const shown = names.filter((name) => name === page.name).length;
    // The tool's own examples call some of the commands.
    expect([page.name, shown >= page.examples.length]).toEqual([page.name, true]);
  }
});

test("a wrong command is found", async () => {
  const [call = []] = await callsIn('cd . && vault-helper cert --key-typ "an e c" a b c');
  expect(call).toEqual(["vault-helper", "cert", "--key-typ", "an e c", "a", "b", "c"]);
  await expect(checkedCommand(call)).rejects.toThrow("--key-typ");
  await expect(checkedCommand(["vault-helper", "certs"])).rejects.toThrow("certs");
  await expect(callsIn("vault-helpers cert")).rejects.toThrow("127");
  await expect(callsIn("vault-helper 'cert")).rejects.toThrow("matching");
});
