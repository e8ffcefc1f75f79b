import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const built = new Map<string, Promise<string>>();

/**
 * Builds a Go program of the tests once for its source, and keeps it beside the test server. Returns its path.
 *
 * @param folder with main.go and go.mod
 */
export async function goProgram(name: string, folder: string): Promise<string> {
  const building = built.get(folder) ?? build(name, folder);
  built.set(folder, building);
  return await building;
}

async function build(name: string, folder: string): Promise<string> {
  const files = ["main.go", "go.mod", "go.sum"].map((file) => join(folder, file));
  // A program without dependencies has no go.sum.
  const source = files.filter((file) => existsSync(file)).map((file) => readFileSync(file));
  const hash = source.reduce((sum, text) => sum.update(text), createHash("sha256")).digest("hex");
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "vault-helper");
  const path = join(cache, `${name}-${hash.slice(0, 16)}`);
  if (existsSync(path)) return path;
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, `.${name}-`));
  try {
    const output = join(work, name);
    const go = Bun.spawn(["go", "build", "-trimpath", "-ldflags=-s -w", "-o", output, "."], {
      cwd: folder,
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    const [errors, code] = await Promise.all([go.stderr.text(), go.exited]);
    if (code !== 0) throw new Error(`go build ended with ${code}: ${errors}`);
    renameSync(output, path);
    return path;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
