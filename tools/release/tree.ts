import { chmodSync, linkSync, lutimesSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";

export type Entry =
  | { readonly kind: "file"; readonly mode: number; readonly content: string | Uint8Array }
  /** A copy of a file of the builder. */
  | { readonly kind: "copy"; readonly mode: number; readonly from: string }
  /** A hard link to a file of this tree. */
  | { readonly kind: "link"; readonly to: string }
  /** A symbolic link. Its target need not exist. */
  | { readonly kind: "symlink"; readonly to: string }
  | { readonly kind: "folder"; readonly mode: number };

/** The content of an archive or a package, by relative path. */
export type Tree = ReadonlyMap<string, Entry>;

export function text(content: string): Entry {
  return { kind: "file", mode: 0o644, content };
}

/** Every folder of a tree with its mode, the outermost first. Includes folders that only contain other entries. */
export function foldersOf(tree: Tree): Map<string, number> {
  const folders = new Map<string, number>();
  for (const [path, entry] of tree) {
    const parts = path.split("/").slice(0, entry.kind === "folder" ? undefined : -1);
    for (let i = 1; i <= parts.length; i++) {
      const folder = parts.slice(0, i).join("/");
      const own = tree.get(folder);
      folders.set(folder, own?.kind === "folder" ? own.mode : 0o755);
    }
  }
  return new Map([...folders].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * Writes a tree into a folder. Modes and times don't depend on the builder's umask and clock.
 *
 * @param epochSeconds the modification time of everything in it
 */
export async function writeTree(tree: Tree, folder: string, epochSeconds: number): Promise<void> {
  const folders = foldersOf(tree);
  for (const path of folders.keys()) mkdirSync(join(folder, path), { recursive: true });
  const entries = [...tree].filter(([, { kind }]) => kind !== "folder");
  // A hard link needs its target, so links come last.
  const order = (entry: Entry) => (entry.kind === "link" ? 1 : 0);
  for (const [path, entry] of entries.sort(([, a], [, b]) => order(a) - order(b))) {
    await writeEntry(join(folder, path), entry, folder);
    lutimesSync(join(folder, path), epochSeconds, epochSeconds);
  }
  // The innermost first, because a new file changes its folder's time.
  for (const [path, mode] of [...folders].reverse()) {
    chmodSync(join(folder, path), mode);
    lutimesSync(join(folder, path), epochSeconds, epochSeconds);
  }
  chmodSync(folder, 0o755);
  lutimesSync(folder, epochSeconds, epochSeconds);
}

async function writeEntry(path: string, entry: Entry, folder: string): Promise<void> {
  if (entry.kind === "link") return linkSync(join(folder, entry.to), path);
  if (entry.kind === "symlink") return symlinkSync(entry.to, path);
  if (entry.kind === "folder") return;
  if (entry.kind === "copy") await copyFile(entry.from, path);
  else writeFileSync(path, entry.content);
  chmodSync(path, entry.mode);
}

/** The same tree below a folder. */
export function below(folder: string, tree: Tree): Tree {
  return new Map(
    [...tree].map(([path, entry]) => [
      join(folder, path),
      entry.kind === "link" ? { kind: "link", to: join(folder, entry.to) } : entry,
    ]),
  );
}
