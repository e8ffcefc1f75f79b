import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../tools/main.ts";

/** The last commit of release 1.0.0. */
const commit = "fd0da5076702f6d1773c7b781543f23498dad998";

/** Why release 1.0.0 can't be built here; undefined if it can. */
export function whyNoRelease(): string | undefined {
  const { success } = Bun.spawnSync(["git", "-C", ROOT, "cat-file", "-e", `${commit}^{commit}`]);
  return success ? undefined : "the repository's history is not here";
}

/** The folder of the executables and units of release 1.0.0: `dist` and `units`. Built once for this machine. */
export async function lastRelease(): Promise<string> {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "vault-helper");
  const folder = join(cache, `release-${commit.slice(0, 16)}-${process.arch}`);
  if (existsSync(folder)) return folder;
  const work = `${folder}.${process.pid}`;
  mkdirSync(work, { recursive: true });
  try {
    await run(["sh", "-ec", `git -C "$0" archive ${commit} | tar -x -C "$1"`, ROOT, work]);
    symlinkSync(join(ROOT, "node_modules"), join(work, "node_modules"));
    await run([process.execPath, join(work, "tools/build.ts")]);
    rmSync(join(work, "node_modules"));
    renameSync(work, folder);
  } catch (error) {
    rmSync(work, { recursive: true, force: true });
    // Another run may have been faster.
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

async function run(command: string[]): Promise<void> {
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  const [errors, code] = await Promise.all([child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${errors}`);
}
