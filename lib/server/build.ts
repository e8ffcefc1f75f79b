import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, isAbsolute, join } from "node:path";
import { Failure } from "../failure.ts";
import { isExecutable } from "../host/executable.ts";
import { takeLock } from "../host/lock.ts";
import { gated, startKeeper } from "./keeper.ts";

/** A program that is built from a Go module of ours. The module pins it and all its dependencies. */
export interface Program {
  /** For people: `Vault`. */
  name: string;
  version: string;
  /** The folder of the go.mod. */
  module: string;
  /** The package to build: `github.com/hashicorp/vault`. */
  source: string;
  flags: string[];
  env?: Record<string, string>;
  /** The path of the executable, in the cache folder of this version. */
  path: string;
  /** Arguments that print its version. */
  versionArgs: string[];
  /** The beginning of that output. */
  versionOutput: string;
  /** About how long the build takes. */
  minutes: number;
  /** The message if there is no Go either, and a hint about what to install. */
  without: { sentence: string; hint: string };
}

export interface BuildOptions {
  env: Record<string, string | undefined>;
  progress: (line: string) => void;
}

const WORK_PREFIX = "build-";

/**
 * Builds a program with Go unless it exists. Two runs at the same time build it once. The executable gets its name only
 * after it has run, so that a failed or interrupted build is never used.
 *
 * @throws Failure (config) if Go is missing; (unavailable) if the build fails; (file) for the cache folder
 */
export async function ensureProgram(program: Program, options: BuildOptions): Promise<void> {
  if (isExecutable(program.path)) return;
  const { env, progress } = options;
  const go = Bun.which("go", { PATH: env.PATH ?? "" });
  if (!go) {
    const { sentence, hint } = program.without;
    throw new Failure("config", `${sentence}, and no go to build one with`, {
      hint: `install Go 1.26 or newer from the Go project's download page, or ${hint}, so that it is on PATH`,
    });
  }
  const folder = dirname(program.path);
  makeFolder(folder);
  using _ = await takeLock(join(folder, "lock"), {
    signal: new AbortController().signal,
    onWait: () => progress(`another run is building ${program.name}: waiting for it`),
  });
  // Another run may have built it during the wait.
  if (isExecutable(program.path)) return;
  removeStale(folder);
  await buildAlone(go, program, options);
}

/**
 * The cache folder for a Go module. Its name depends on go.sum, which has the hash of every dependency, so each version
 * has its own folder.
 *
 * @see https://specifications.freedesktop.org/basedir-spec/latest/ (a relative path has to be ignored)
 */
export function programFolder(name: string, module: string, env: BuildOptions["env"]): string {
  const sum = createHash("sha256")
    .update(readFileSync(join(module, "go.sum")))
    .digest("hex");
  const cache = env.XDG_CACHE_HOME;
  const home = cache && isAbsolute(cache) ? cache : join(env.HOME || homedir(), ".cache");
  return join(home, "vault-helper", `${name}-${sum.slice(0, 16)}`);
}

/** The version of a module that a go.mod pins. */
export function pinnedVersion(module: string, dependency: string): string {
  const lines = readFileSync(join(module, "go.mod"), "utf8").split("\n");
  const words = lines.map((line) =>
    line
      .trim()
      .replace(/^require /, "")
      .split(" "),
  );
  const version = words.find(([name, version]) => name === dependency && version?.startsWith("v"))?.[1];
  if (version !== undefined) return version.slice(1);
  throw new Failure("internal", `${module}/go.mod names no version of ${dependency}`);
}

function makeFolder(folder: string) {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (cause) {
    throw new Failure("file", `can't create the folder ${folder} for a build`, {
      hint: "set XDG_CACHE_HOME to a folder that you may write",
      cause,
    });
  }
}

function removeStale(folder: string) {
  for (const name of readdirSync(folder)) {
    if (name.startsWith(WORK_PREFIX)) rmSync(join(folder, name), { recursive: true, force: true });
  }
}

async function buildAlone(go: string, program: Program, options: BuildOptions) {
  const { name, version, minutes } = program;
  const work = mkdtempSync(join(dirname(program.path), WORK_PREFIX));
  const keeper = startKeeper(work);
  try {
    const output = join(work, basename(program.path));
    options.progress(
      `building ${name} ${version} with Go: this takes about ${minutes} minutes, once on each machine`,
    );
    await compile(go, output, keeper.watch, program, options);
    await keeper.forget();
    await checkVersion(output, program);
    await syncFile(output);
    renameSync(output, program.path);
  } finally {
    await keeper.close();
  }
}

async function compile(
  go: string,
  output: string,
  watch: (pid: number) => Promise<void>,
  program: Program,
  { env, progress }: BuildOptions,
) {
  const what = `${program.name} ${program.version}`;
  const build = Bun.spawn(gated([go, "build", ...program.flags, "-o", output, program.source]), {
    cwd: program.module,
    // Go's temporary files are removed together with ours.
    env: { ...env, ...program.env, GOTMPDIR: dirname(output) },
    stdin: "pipe",
    stdout: "ignore",
    stderr: "pipe",
  });
  await watch(build.pid);
  build.stdin.write("\n");
  await build.stdin.end();

  const started = Date.now();
  const elapsedSeconds = () => Math.round((Date.now() - started) / 1000);
  const ticker = setInterval(() => progress(`  still building: ${elapsedSeconds()} s`), 10_000);
  try {
    const [errors, code] = await Promise.all([build.stderr.text(), build.exited]);
    if (code !== 0) {
      const why = lastLines(errors) || `it ended with ${code}`;
      throw new Failure("unavailable", `building ${what} with ${go} failed: ${why}`, {
        hint: `it needs Go 1.26 or newer and the Go module proxy; or install ${program.without.hint}, so that it is on PATH`,
      });
    }
    progress(`built ${what} in ${elapsedSeconds()} s`);
  } finally {
    clearInterval(ticker);
  }
}

async function checkVersion(path: string, { name, version, versionArgs, versionOutput }: Program) {
  const run = Bun.spawn([path, ...versionArgs], { stdin: "ignore", stdout: "pipe", stderr: "ignore" });
  const [output, code] = await Promise.all([run.stdout.text(), run.exited]);
  if (code !== 0 || !output.startsWith(versionOutput)) {
    const line = output.split("\n")[0];
    throw new Failure(
      "unavailable",
      `the executable that was built isn't ${name} ${version}: it says "${line}" and ends with ${code}`,
    );
  }
}

/** Without this, a power cut could leave a file with the right name and no content. */
async function syncFile(path: string) {
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

function lastLines(text: string): string {
  return text.trim().split("\n").slice(-5).join("\n");
}
