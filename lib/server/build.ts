import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { ExitCode, Failure } from "../failure.ts";
import { takeLock } from "../host/lock.ts";
import { gated, startKeeper } from "./keeper.ts";

export interface BuildOptions {
  /** Folder of the go.mod that pins the server. */
  module: string;
  /** Cache folder of this version. */
  folder: string;
  /** Where the executable goes, in `folder`. */
  path: string;
  /** What the executable must say that it is. */
  version: string;
  env: Record<string, string | undefined>;
  progress: (line: string) => void;
  /** Whether the executable is there: another run may have built it while we waited. */
  isDone: () => boolean;
}

const WORK_PREFIX = "build-";

/**
 * Builds Vault with Go. Two runs at once build once. The executable gets its name only when it is whole and
 * has run, so that no failed or interrupted build is ever taken for a good one.
 */
export async function buildServer(options: BuildOptions): Promise<void> {
  const { folder, progress } = options;
  const go = Bun.which("go", { PATH: options.env.PATH ?? "" });
  if (!go) {
    throw new Failure(
      ExitCode.config,
      "there is no server to run: no bao or vault on PATH, none built before, and no go to build one with",
      {
        hint:
          "install Go 1.26 or newer from the Go project's download page, or vault (HashiCorp's download page) " +
          "or bao (OpenBao's download page), so that it is on PATH",
      },
    );
  }
  makeFolder(folder);
  using _ = await takeLock(join(folder, "lock"), {
    signal: new AbortController().signal,
    onWait: () => progress("another run is building the server: waiting for it"),
  });
  if (options.isDone()) return;
  removeStale(folder);
  await buildAlone(go, options);
}

function makeFolder(folder: string) {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (cause) {
    throw new Failure(ExitCode.cantCreate, `can't create ${folder}, where the server would be built`, {
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

async function buildAlone(go: string, options: BuildOptions) {
  const work = mkdtempSync(join(options.folder, WORK_PREFIX));
  const keeper = startKeeper(work);
  try {
    const output = join(work, "vault");
    options.progress(
      `building Vault ${options.version} with Go: this takes about 5 minutes, and only once a machine`,
    );
    await compile(go, work, output, keeper.watch, options);
    await keeper.forget();
    await checkVersion(output, options.version);
    await syncFile(output);
    renameSync(output, options.path);
  } finally {
    await keeper.close();
  }
}

async function compile(
  go: string,
  work: string,
  output: string,
  watch: (pid: number) => Promise<void>,
  { module, env, version, progress }: BuildOptions,
) {
  // The tag leaves out the cloud plugins: half the time and size.
  const command = [go, "build", "-tags", "minimal", "-trimpath", "-ldflags=-s -w", "-o", output];
  const build = Bun.spawn(gated([...command, "github.com/hashicorp/vault"]), {
    cwd: module,
    // Go's own temporary files go where they are removed with ours.
    env: { ...env, GOTMPDIR: work },
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
      throw new Failure(ExitCode.unavailable, `building Vault ${version} with ${go} failed: ${why}`, {
        hint: "it needs Go 1.26 or newer and the Go module proxy; or install vault or bao, so that it is on PATH",
      });
    }
    progress(`built Vault ${version} in ${elapsedSeconds()} s`);
  } finally {
    clearInterval(ticker);
  }
}

async function checkVersion(path: string, version: string) {
  const run = Bun.spawn([path, "version"], { stdin: "ignore", stdout: "pipe", stderr: "ignore" });
  const [said, code] = await Promise.all([run.stdout.text(), run.exited]);
  if (code !== 0 || !said.startsWith(`Vault v${version}`)) {
    const line = said.split("\n")[0];
    throw new Failure(
      ExitCode.unavailable,
      `the server that was built isn't Vault ${version}: it says "${line}" and ends with ${code}`,
    );
  }
}

/** Else the name could outlive a power cut and the content not. */
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
