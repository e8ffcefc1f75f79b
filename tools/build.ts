import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { ROOT, runMain } from "./main.ts";

const DIST = join(ROOT, "dist");
const STAMPS = join(DIST, ".stamp");
const PARALLEL = 2;

/**
 * What root runs, runs its own code only: no `.env` or `bunfig.toml` of the working folder, no code from a
 * string, a path or a native module that the environment names.
 */
const COMPILE_FLAGS = [
  "--compile",
  "--minify",
  "--bytecode",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  "--compile-exec-argv=--disallow-code-generation-from-strings=strict --no-addons",
];

/**
 * Compiles scripts into `dist/`, each an executable for this machine, except those that are there and whose
 * inputs are unchanged. Gives the folder.
 */
export async function ensureBuilt(names = scriptNames()): Promise<string> {
  const known = scriptNames();
  for (const name of names) {
    if (!known.includes(name))
      throw new Error(`There is no script ${name}: it is one of ${known.join(", ")}`);
  }
  mkdirSync(STAMPS, { recursive: true });
  const inputs = await hashInputs();
  const due = names.filter((name) => !isBuilt(name, inputs));
  const workers = Array.from({ length: PARALLEL }, async () => {
    for (let name = due.shift(); name; name = due.shift()) await build(name, inputs);
  });
  await Promise.all(workers);
  return DIST;
}

function scriptNames(): string[] {
  return [...new Bun.Glob("scripts/*.ts").scanSync(ROOT)].map((path) => basename(path, ".ts")).sort();
}

/** One hash for all scripts: telling their inputs apart would cost more than the second that it saves. */
async function hashInputs(): Promise<string> {
  const files = new Bun.Glob("{lib,scripts}/**/*.ts").scanSync(ROOT);
  const hash = createHash("sha256");
  for (const path of [
    ...files,
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "tools/build.ts",
  ].sort()) {
    const content = await Bun.file(join(ROOT, path)).bytes();
    hash.update(`${path}\n${content.length}\n`).update(content);
  }
  return hash.digest("hex");
}

function isBuilt(name: string, inputs: string): boolean {
  const stamp = join(STAMPS, name);
  return existsSync(join(DIST, name)) && existsSync(stamp) && readFileSync(stamp, "utf8") === inputs;
}

async function build(name: string, inputs: string) {
  const started = performance.now();
  // A folder, since the executable's own name is compiled in.
  const work = mkdtempSync(join(DIST, ".build-"));
  try {
    const output = join(work, name);
    const script = join(ROOT, "scripts", `${name}.ts`);
    const bun = Bun.spawn([process.execPath, "build", ...COMPILE_FLAGS, `--outfile=${output}`, script], {
      cwd: ROOT,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, errors, code] = await Promise.all([bun.stdout.text(), bun.stderr.text(), bun.exited]);
    if (code !== 0) throw new Error(`Building ${name} failed:\n${out}${errors}`);
    // Without its old stamp first, an executable newer than its stamp could pass for built.
    rmSync(join(STAMPS, name), { force: true });
    renameSync(output, join(DIST, name));
    writeFileSync(join(STAMPS, name), inputs);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  console.error(`Built dist/${name} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
}

if (import.meta.main) {
  await runMain(async () => {
    const names = process.argv.slice(2).map((path) => basename(resolve(path), ".ts"));
    await ensureBuilt(names.length > 0 ? names : undefined);
    return 0;
  });
}
