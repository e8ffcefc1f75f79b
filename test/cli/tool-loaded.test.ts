import { expect, test } from "bun:test";
import { join, relative } from "node:path";
import { snippet } from "../support/snippet.ts";

const root = join(import.meta.dir, "../..");

/** The project's own files that the executable has loaded by the end of a call. */
async function loadedBy(...words: string[]): Promise<string[]> {
  const code = `
    const { vaultHelper } = await import(${JSON.stringify(join(root, "scripts/vault-helper.ts"))});
    process.on("exit", () => console.error(JSON.stringify(Object.keys(require.cache))));
    await runTool(vaultHelper, "vault-helper", ${JSON.stringify(words)});`;
  const child = Bun.spawn(snippet("{ runTool }", "cli/run-tool.ts", code), {
    stdout: "ignore",
    stderr: "pipe",
  });
  const paths: string[] = JSON.parse((await child.stderr.text()).trim().split("\n").at(-1) ?? "");
  return paths.map((path) => relative(root, path)).filter((path) => !path.startsWith("node_modules/"));
}

test("a command loads only its own script, and not the module that answers for the tool", async () => {
  const loaded = await loadedBy("renew-token", "--version");
  expect(loaded.filter((path) => path.startsWith("scripts/")).toSorted()).toEqual([
    "scripts/renew-token.ts",
    "scripts/vault-helper.ts",
  ]);
  expect(loaded).not.toContain("lib/cli/tool-answers.ts");
  expect(loaded.filter((path) => /^lib\/(cluster|manifest|server)\//.test(path))).toEqual([]);
  // This shows that loaded files are found.
  expect(await loadedBy("help")).toEqual(
    expect.arrayContaining(["scripts/issue-cert.ts", "lib/cli/tool-answers.ts"]),
  );
});
