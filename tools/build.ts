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
/** Scripts compiled by themselves. */
const ALONE = join(DIST, "alone");
/** The script that holds all others. */
const TOOL = "vault-helper";

/**
 * What root runs, runs its own code only: no `.env` or `bunfig.toml` of the working folder, no code from a
 * string, a path or a native module that the environment names.
 */
const COMPILE_FLAGS = [
  "--compile",
  "--minify",
  "--bytecode",
  // What a command loads only when it needs it is a file of its own in there: to have it costs nothing.
  "--format=esm",
  "--splitting",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  "--compile-exec-argv=--disallow-code-generation-from-strings=strict --no-addons",
  // Else the folder of this clone would be compiled in, and each clone's build would be another.
  '--define=import.meta.dir=""',
];

/** Called by a link of each one's name, the executable is that script; a name as general as `setup` is none for a PATH. */
const WITHOUT_LINK = [TOOL, "setup"];
/** Nor are these for the PATH of all users of a machine, which a package's links are on: they stay in an archive. */
const TOO_GENERAL = ["dev-server", "status", "teardown"];

/**
 * Compiles all scripts into one executable for this machine, unless it is there and its inputs are unchanged, and
 * links it by the name of each. Gives the folder.
 */
export async function ensureBuilt(): Promise<string> {
  await buildDue([TOOL], DIST);
  const tool = join(DIST, TOOL);
  for (const name of linkNames()) link(tool, join(DIST, name));
  return DIST;
}

/** The names that the executable goes by, beside its own. */
export function linkNames(): string[] {
  return scriptNames().filter((name) => !WITHOUT_LINK.includes(name));
}

/** Those of them that a package puts on the PATH. Man pages and completions are for these alone. */
export function packagedLinkNames(): string[] {
  return linkNames().filter((name) => !TOO_GENERAL.includes(name));
}

/** Compiles scripts each into an executable of its own. Gives the folder. */
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

/** A hard link, put in place at one moment: another run may be using the one that stands. */
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

function isBuilt(name: string, folder: string, inputs: string): boolean {
  const stamp = join(folder, ".stamp", name);
  return existsSync(join(folder, name)) && existsSync(stamp) && readFileSync(stamp, "utf8") === inputs;
}

async function build(name: string, folder: string, inputs: string) {
  const started = performance.now();
  // A folder, since the executable's own name is compiled in.
  const work = mkdtempSync(join(folder, ".build-"));
  try {
    const output = join(work, name);
    await compile(name, output);
    const stamp = join(folder, ".stamp", name);
    // Without its old stamp first, an executable newer than its stamp could pass for built.
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
 * @param output path; its base name is compiled in
 * @param more flags, as for another machine than this
 */
export async function compile(name: string, output: string, more: readonly string[] = []): Promise<void> {
  const script = join(ROOT, "scripts", `${name}.ts`);
  const flags = [...COMPILE_FLAGS, ...more, `--outfile=${output}`];
  const bun = Bun.spawn([process.execPath, "build", ...flags, script], {
    cwd: ROOT,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, errors, code] = await Promise.all([bun.stdout.text(), bun.stderr.text(), bun.exited]);
  if (code !== 0) throw new Error(`Building ${name} failed:\n${out}${errors}`);
}

if (import.meta.main) {
  await runMain(async () => {
    const names = process.argv.slice(2).map((path) => basename(resolve(path), ".ts"));
    if (names.length === 0) await ensureBuilt();
    else await ensureBuiltAlone(names);
    return 0;
  });
}
