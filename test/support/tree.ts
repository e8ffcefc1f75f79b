import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

/**
 * Everything below a folder: what each entry is, whose, with which mode, inode, time of change and content. Two that
 * are equal mean that nothing was touched in between, not even written again as it was.
 */
export function treeOf(folder: string): Readonly<Record<string, string>> {
  const tree: Record<string, string> = { ".": describe(folder) };
  for (const name of readdirSync(folder, { recursive: true }).map(String).sort()) {
    tree[name] = describe(join(folder, name));
  }
  return tree;
}

function describe(path: string): string {
  const stats = lstatSync(path, { bigint: true });
  const about = `${stats.mode.toString(8)} ${stats.uid}:${stats.gid} inode ${stats.ino} changed ${stats.ctimeNs}`;
  if (stats.isSymbolicLink()) return `${about} -> ${readlinkSync(path)}`;
  return stats.isFile() ? `${about} ${Bun.hash(readFileSync(path))}` : about;
}

/** A file's mode as people type it, such as `600`. */
export function modeOf(path: string): string {
  return (lstatSync(path).mode & 0o7777).toString(8);
}
