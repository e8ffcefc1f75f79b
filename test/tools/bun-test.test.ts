import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { runBunTest } from "../../tools/bun-test.ts";
import { temporaryFolder } from "../support/folder.ts";

const GOOD = 'test("good", () => {});';
const BAD = 'test("bad", () => { throw new Error("by intent"); });';

const SKIPPED =
  'describe.skipIf(true)("not here", () => { afterAll(() => {}); test("one", () => {}); test("two", () => {}); });';

async function countOf(files: Record<string, string>, ...args: string[]) {
  using folder = temporaryFolder();
  for (const [name, code] of Object.entries(files)) {
    writeFileSync(
      join(folder.path, `${name}.test.ts`),
      `import { afterAll, describe, test } from "bun:test";\n${code}`,
    );
  }
  let output = "";
  const result = await runBunTest(args, folder.path, (text) => {
    output += text;
  });
  return { ...result, output };
}

test("a run is good if all tests passed", async () => {
  const result = await countOf({ a: GOOD, b: GOOD });
  expect(result).toMatchObject({ passed: 2, failed: 0, skipped: 0, isGood: true });
  expect(result.output).toContain("(pass) good");
});

test("a run with skipped tests is good, and counts them", async () => {
  const result = await countOf({ a: GOOD, b: `${GOOD}${SKIPPED}` });
  expect(result).toMatchObject({ passed: 2, failed: 0, skipped: 2, isGood: true });
  expect(result.output).toContain("(skip) not here > one");
});

test("arguments choose what runs", async () => {
  expect(await countOf({ a: GOOD, b: BAD }, "a.test.ts")).toMatchObject({
    passed: 1,
    failed: 0,
    isGood: true,
  });
});

test.each([
  ["a failure", { a: `${GOOD}${BAD}` }, { passed: 1, failed: 1, skipped: 0 }],
  ["a failing hook", { a: `${GOOD}afterAll(() => { throw 1; });` }, { passed: 1, failed: 1, skipped: 0 }],
  ["skipped tests alone", { a: `${SKIPPED}` }, { passed: 0, failed: 0, skipped: 2 }],
  [
    "a file that can't be loaded",
    { a: GOOD, b: 'import "./none.ts";' },
    { passed: 1, failed: 1, skipped: 0 },
  ],
  [
    "two files that can't be loaded",
    { a: BAD, b: 'import "./none.ts";', c: "throw 1;" },
    { passed: 0, failed: 3, skipped: 0 },
  ],
  ["a crash", { a: `${GOOD}process.kill(process.pid, "SIGKILL");` }, { passed: 0, failed: 1, skipped: 0 }],
  ["an early end", { a: GOOD, b: "process.exit(0);" }, { passed: 0, failed: 1, skipped: 0 }],
  ["files without tests", { a: "" }, { passed: 0, failed: 0, skipped: 0 }],
  ["no files", {}, { passed: 0, failed: 1, skipped: 0 }],
])("a run with %s is not good", async (_what, files: Record<string, string>, counts) => {
  expect(await countOf(files)).toMatchObject({ ...counts, isGood: false });
});
