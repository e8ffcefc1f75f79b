import { createHash } from "node:crypto";
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { ROOT, runMain } from "./main.ts";

const DIST = join(ROOT, "dist");
/** The folder of scripts that are compiled one by one. */
const ALONE = join(DIST, "alone");
/** The script that holds all others. */
const TOOL = "vault-helper";

/**
 * The executable runs only its own code, because root runs it: nothing from a `.env` or `bunfig.toml` in the working
 * folder, and no string, path or native module that the environment names.
 */
const COMPILE_FLAGS = [
  "--compile",
  "--minify",
  "--bytecode",
  // Modules that are loaded on demand become files of their own in the executable. They cost nothing until then.
  "--format=esm",
  "--splitting",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  "--compile-exec-argv=--disallow-code-generation-from-strings=strict --no-addons",
  // Without this, the clone's path would be compiled in, and no two clones would give the same build.
  '--define=import.meta.dir=""',
];

/** Scripts without a link of their own name to the executable. `setup` is too general a name to be on a PATH. */
const WITHOUT_LINK = [TOOL, "setup"];
/** Names too general for the PATH of all users. Archives have links of these names, packages don't. */
const TOO_GENERAL = ["dev-server", "status", "teardown"];

/**
 * Compiles all scripts into one executable for this machine, and makes a link for each script's name. Does nothing if
 * the inputs have not changed.
 *
 * @returns the folder
 */
export async function ensureBuilt(): Promise<string> {
  await buildDue([TOOL], DIST);
  const tool = join(DIST, TOOL);
  for (const name of linkNames()) link(tool, join(DIST, name));
  return DIST;
}

/** The names of the links to the executable. */
export function linkNames(): string[] {
  return scriptNames().filter((name) => !WITHOUT_LINK.includes(name));
}

/** The links that a package puts on the PATH. Only these have man pages and completions. */
export function packagedLinkNames(): string[] {
  return linkNames().filter((name) => !TOO_GENERAL.includes(name));
}

/** Compiles each script into its own executable. @returns the folder */
export async function ensureBuiltAlone(names: readonly string[]): Promise<string> {
  const known = scriptNames();
  for (const name of names) {
    if (!known.includes(name))
      throw new Error(`There is no script ${name}: it is one of ${known.join(", ")}`);
  }
  await buildDue(names, ALONE);
  return ALONE;
}

async function buildDue(names: readonly string[], folder: string): Promise<void> {
  mkdirSync(join(folder, ".stamp"), { recursive: true });
  const inputs = await hashInputs();
  for (const name of names) if (!isBuilt(name, folder, inputs)) await build(name, folder, inputs);
}

/** Makes or replaces a hard link atomically: another run may be using the old one. */
function link(target: string, path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.ino === statSync(target).ino) return;
  const temporary = `${path}.${process.pid}`;
  rmSync(temporary, { force: true });
  linkSync(target, temporary);
  renameSync(temporary, path);
}

function scriptNames(): string[] {
  return [...new Bun.Glob("scripts/*.ts").scanSync(ROOT)].map((path) => basename(path, ".ts")).sort();
}

/** One hash for all scripts. Finding out each script's own inputs would take longer than the second it could save. */
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

function isBuilt(name: string, folder: string, inputs: string): boolean {
  const stamp = join(folder, ".stamp", name);
  return existsSync(join(folder, name)) && existsSync(stamp) && readFileSync(stamp, "utf8") === inputs;
}

async function build(name: string, folder: string, inputs: string) {
  const started = performance.now();
  // A folder of its own, because the executable's file name is compiled in.
  const work = mkdtempSync(join(folder, ".build-"));
  try {
    const output = join(work, name);
    await compile(name, output);
    const stamp = join(folder, ".stamp", name);
    // The old stamp goes first: it must not be left beside a new executable.
    rmSync(stamp, { force: true });
    renameSync(output, join(folder, name));
    writeFileSync(stamp, inputs);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.error(`Built ${relative(ROOT, join(folder, name))} in ${seconds} s`);
}

/**
 * Compiles a script.
 *
 * @param output path of the executable; its base name is compiled in
 * @param more flags, for example for another machine's architecture
 */
export async function compile(name: string, output: string, more: readonly string[] = []): Promise<void> {
  await compileFile(join(ROOT, "scripts", `${name}.ts`), output, more);
}

/** The same of any file. */
export async function compileFile(path: string, output: string, more: readonly string[] = []): Promise<void> {
  const flags = [...COMPILE_FLAGS, ...more, `--outfile=${output}`];
  const bun = Bun.spawn([process.execPath, "build", ...flags, path], {
    cwd: ROOT,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, errors, code] = await Promise.all([bun.stdout.text(), bun.stderr.text(), bun.exited]);
  if (code !== 0) throw new Error(`Building ${basename(path, ".ts")} failed:\n${out}${errors}`);
}

if (import.meta.main) {
  await runMain(async () => {
    const names = process.argv.slice(2).map((path) => basename(resolve(path), ".ts"));
    if (names.length === 0) await ensureBuilt();
    else await ensureBuiltAlone(names);
    return 0;
  });
}
