import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { startCluster } from "../support/cluster-server.ts";
import { temporaryFolder } from "../support/folder.ts";
import { runCommand, scriptPath } from "../support/script.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

/** The lines that a command prints on a terminal of 80 columns. */
async function onTerminal(...words: string[]): Promise<readonly string[]> {
  using folder = temporaryFolder();
  const env = { VAULT_ADDR: cluster.address, VAULT_TOKEN: cluster.rootToken, TERM: "xterm" };
  const file = join(folder.path, "typescript");
  const line = ["stty cols 80;", await scriptPath("vault-helper"), ...words].join(" ");
  await runCommand(["script", "-q", "-c", line, file], { env });
  const text = await Bun.file(file).text();
  return text.split(/\r?\n/).filter((it) => !/^Script (started|done)/.test(it));
}

const commands = [
  ["help"],
  ["help", "issue-cert"],
  ["write-kubeconfig", "--help"],
  ["status", "demo"],
  [
    "status",
    "--config-path",
    "/nonexistent/folder/of/a/host",
    "--config-dir",
    "/nonexistent/folder/of/manifests",
  ],
  ["setup", "--dry-run", "--max-validity-components", "7d", "demo"],
  ["teardown", "--dry-run", "demo"],
];

describe("a terminal of 80 columns", () => {
  test.each(commands.map((words) => [words]))("breaks no line of %j inside a word", async (words) => {
    const lines = await onTerminal(...words);
    expect(lines.length).toBeGreaterThan(4);
    const long = lines.filter((it) => Bun.stringWidth(it) > 80);
    // A word that is longer than a line has its own line.
    expect(long.filter((it) => it.trim().includes(" "))).toEqual([]);
  });

  test("shows the same words as a file gets, and a file gets no broken lines", async () => {
    const words = ["setup", "--dry-run", "--max-validity-components", "7d", "demo"];
    const env = { VAULT_ADDR: cluster.address, VAULT_TOKEN: cluster.rootToken };
    const { stdout } = await runCommand([await scriptPath("vault-helper"), ...words], { env });
    const lines = stdout.trimEnd().split("\n");
    expect(lines.some((it) => it.length > 80)).toBe(true);
    const shown = (await onTerminal(...words)).join(" ").replaceAll(/\s+/g, " ").trim();
    expect(shown).toBe(lines.join(" ").replaceAll(/\s+/g, " "));
  });
});
