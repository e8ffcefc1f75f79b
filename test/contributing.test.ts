import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { scripts } from "../package.json";
import { ROOT } from "../tools/main.ts";
import { callsIn, commandBlocks } from "./support/pasted.ts";

/** All command blocks, without the drawing of the layout. */
const blocks = commandBlocks("CONTRIBUTING.md").filter((block) => !block.startsWith("scripts/ "));
const calls = (await Promise.all(blocks.map(callsIn))).flat().filter(([program]) => program === "npm");

test("CONTRIBUTING.md names every npm script, and only those that exist", () => {
  const named = calls.map(([, word, script]) => (word === "run" ? script : word));
  expect([...new Set(named)].sort()).toEqual(Object.keys(scripts).sort());
});

test("CONTRIBUTING.md names only tests that exist", () => {
  const paths = calls.flat().filter((word) => word.startsWith("test/"));
  expect(paths.length).toBeGreaterThan(2);
  expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});

const ofOneFile = calls.filter(([, word, , path = ""]) => word === "test" && path.endsWith(".ts"));

test.each(ofOneFile.map((words) => [words.join(" "), words] as const))("%s runs tests", async (_, words) => {
  // With this run's environment, which may name a server.
  const run = Bun.spawn([...words], { cwd: ROOT, stdin: "ignore", stdout: "pipe", stderr: "ignore" });
  expect([(await run.stdout.text()).trim().split("\n").at(-1), await run.exited]).toEqual([
    expect.stringMatching(/^[1-9]\d* passed, 0 failed, \d+ skipped$/),
    0,
  ]);
});

test("SECURITY.md has commands that a shell can read", async () => {
  // test/tools/release-origin.test.ts runs the commands that check a signature.
  const others = commandBlocks("SECURITY.md").filter((block) => /^(dpkg|rpm) /.test(block));
  expect((await Promise.all(others.map(callsIn))).flat()).toEqual([
    ["dpkg", "-s", "vault-helper"],
    ["rpm", "-qi", "vault-helper"],
  ]);
});
