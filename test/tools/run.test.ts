import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/wait.ts";

const RUN = resolve(import.meta.dir, "../../tools/run.mjs");

/** A stand-in for npm that takes a moment, notes each call, and installs a Bun that prints its arguments. */
const NPM = `#!/bin/sh
echo "$*" >> npm-calls
sleep 0.5
rm -rf node_modules
mkdir -p node_modules/.bin
printf '#!/bin/sh\\necho "bun $*"\\nexit 7\\n' > node_modules/.bin/bun
chmod +x node_modules/.bin/bun
`;

let clone: ReturnType<typeof temporaryFolder>;

beforeEach(() => {
  clone = temporaryFolder();
  for (const folder of ["tools", "bin"]) mkdirSync(join(clone.path, folder));
  copyFileSync(RUN, join(clone.path, "tools/run.mjs"));
  writeFileSync(join(clone.path, "package-lock.json"), "{}");
  executable("bin/npm", NPM);
});
afterEach(() => clone[Symbol.dispose]());

function executable(name: string, text: string) {
  writeFileSync(join(clone.path, name), text);
  chmodSync(join(clone.path, name), 0o755);
}

function start(...args: string[]) {
  return Bun.spawn(["node", join(clone.path, "tools/run.mjs"), ...args], {
    env: { PATH: `${join(clone.path, "bin")}:${process.env.PATH}` },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

async function run(...args: string[]) {
  const child = start(...args);
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { stdout, stderr, code };
}

function npmCalls(): string[] {
  const file = join(clone.path, "npm-calls");
  return existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
}

test("installs missing packages once, and again when the lock file changes", async () => {
  const first = await run("tools/test.ts", "some words");
  expect(first).toEqual({
    stdout: "bun tools/test.ts some words\n",
    stderr: "Installing node_modules\n",
    code: 7,
  });
  expect((await run("x")).stderr).toBe("");
  expect(npmCalls()).toEqual(["ci --include=dev"]);

  writeFileSync(join(clone.path, "package-lock.json"), "{ }");
  await run("x");
  rmSync(join(clone.path, "node_modules"), { recursive: true });
  await run("x");
  expect(npmCalls()).toHaveLength(3);
});

test("installs once for two concurrent runs", async () => {
  const results = await Promise.all([run("one"), run("two")]);
  expect(results.map((result) => result.stdout)).toEqual(["bun one\n", "bun two\n"]);
  expect(results.map((result) => result.stderr).join("")).toContain("waiting for it");
  expect(npmCalls()).toHaveLength(1);
});

test("ends with npm's exit code and message, and runs nothing", async () => {
  executable("bin/npm", "#!/bin/sh\necho 'no such package' >&2\nexit 3\n");
  const result = await run("x");
  expect(result).toEqual({ stdout: "", stderr: "Installing node_modules\nno such package\n\n", code: 3 });
});

test("passes signals on, and exits with the code for the one that ended Bun", async () => {
  await run("x");
  executable("node_modules/.bin/bun", "#!/bin/sh\necho > started\nexec sleep 60\n");
  const child = Bun.spawn(["node", join(clone.path, "tools/run.mjs")], { cwd: clone.path });
  await until(() => existsSync(join(clone.path, "started")));
  child.kill("SIGTERM");
  expect(await child.exited).toBe(128 + 15);
});
