import { createHash } from "node:crypto";
import { cpSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../tools/main.ts";

/** Runs a command to its end. @returns its standard output */
export async function output(command: readonly string[], options: { cwd?: string; env?: object } = {}) {
  const child = Bun.spawn([...command], {
    cwd: options.cwd ?? "/",
    env: { ...process.env, LC_ALL: "C.UTF-8", ...options.env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${stderr}${stdout}`);
  return stdout;
}

/** A copy of the clone without git, like an unpacked source archive, but with its node_modules. */
export function copyClone(folder: string): void {
  mkdirSync(folder);
  for (const name of readdirSync(ROOT)) {
    if (name === ".git" || name === "dist") continue;
    cpSync(join(ROOT, name), join(folder, name), { recursive: true, verbatimSymlinks: true });
  }
}

/** Gives each file its own time, in ascending or descending order. */
export function setTimes(folder: string, step: number): void {
  const paths = [...new Bun.Glob("{lib,scripts,tools,units}/**/*").scanSync(folder)].sort();
  for (const [i, path] of paths.entries()) utimesSync(join(folder, path), 1e9 + i * step, 1e9 + i * step);
}

/** Unpacks an archive or a package. */
export async function unpack(archive: string, folder: string): Promise<void> {
  mkdirSync(folder);
  if (archive.endsWith(".deb")) await output(["dpkg-deb", "--extract", archive, folder]);
  else if (archive.endsWith(".rpm")) {
    await output(["sh", "-c", 'rpm2archive - <"$0" | tar -xzf - -C "$1"', archive, folder]);
  } else await output(["tar", "-xzf", archive, "-C", folder, "--strip-components=1"]);
}

/** Every path in a folder, with its mode and a fingerprint of its content. Folders only if they are told apart. */
export function filesOf(folder: string): Map<string, string> {
  const digests = new Map<number, string>();
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return new Map(
    entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => {
        const path = join(entry.parentPath, entry.name);
        const { ino, mode } = lstatSync(path);
        const digest = entry.isSymbolicLink()
          ? `-> ${readlinkSync(path)}`
          : (digests.get(ino) ?? createHash("sha256").update(readFileSync(path)).digest("hex"));
        digests.set(ino, digest);
        return [path.slice(folder.length + 1), `${(mode & 0o7777).toString(8)} ${digest}`] as const;
      })
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}
