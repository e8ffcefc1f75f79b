import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { kubernetesPage } from "./kubernetes.ts";
import { ROOT } from "./main.ts";
import { referencePage } from "./reference.ts";

/** The pages that are made from data: by path, the text that each has to have. */
export async function generatedPages(): Promise<ReadonlyMap<string, string>> {
  return new Map([
    ["docs/kubernetes.md", kubernetesPage()],
    ["docs/reference.md", await referencePage()],
  ]);
}

/** Writes each page that differs from what its data makes. Returns their paths. */
export async function writeGeneratedPages(root = ROOT): Promise<string[]> {
  const pages = [...(await generatedPages())].filter(([path, text]) => readText(join(root, path)) !== text);
  for (const [path, text] of pages) writeFileSync(join(root, path), text);
  return pages.map(([path]) => path);
}

function readText(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}
