import { join } from "node:path";
import { ROOT, runMain } from "./main.ts";

const CHECKS = {
  types: ["tsc", "--noEmit"],
  "lint and format": ["biome", "check", "--error-on-warnings"],
  "unused code": ["knip"],
  "import directions": ["bun", "test", "test/layout.test.ts"],
  pages: ["bun", "test", "test/tools/docs.test.ts", "test/docs.test.ts"],
};

async function check(name: string, [command = "", ...args]: string[]): Promise<boolean> {
  // Some are Node scripts, some are native. The first line of each file decides.
  const run = Bun.spawn([join(ROOT, "node_modules", ".bin", command), ...args], {
    cwd: ROOT,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, errors, code] = await Promise.all([run.stdout.text(), run.stderr.text(), run.exited]);
  console.log(code === 0 ? `ok      ${name}` : `failed  ${name}\n${out}${errors}`);
  return code === 0;
}

await runMain(async () => {
  const results = await Promise.all(Object.entries(CHECKS).map(([name, command]) => check(name, command)));
  return results.every(Boolean) ? 0 : 1;
});
