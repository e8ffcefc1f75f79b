import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { kubernetesPage } from "./kubernetes.ts";
import { ROOT } from "./main.ts";
import { referencePage } from "./reference.ts";
import { fileTable } from "./schema.ts";

/** The pages that are made from data or contain a table that is: the text that each should have, by path. */
export async function generatedPages(): Promise<ReadonlyMap<string, string>> {
  return new Map([
    ["docs/admins.md", withTable("docs/admins.md", fileTable("cluster"))],
    ["docs/hosts.md", withTable("docs/hosts.md", fileTable("manifest"))],
    ["docs/kubernetes.md", kubernetesPage()],
    ["docs/reference.md", await referencePage()],
  ]);
}

/** A page with the current table in place of the old one with the same head. */
function withTable(path: string, table: string): string {
  const [head = ""] = table.split("\n");
  const text = readFileSync(join(ROOT, path), "utf8");
  const start = text.indexOf(`${head}\n`);
  const end = text.indexOf("\n\n", start);
  if (start === -1 || end === -1) throw new Error(`${path} has no table of ${head}`);
  return `${text.slice(0, start)}${table}${text.slice(end)}`;
}

/** Writes each page that differs from its data. @returns their paths */
export async function writeGeneratedPages(root = ROOT): Promise<string[]> {
  const pages = [...(await generatedPages())].filter(([path, text]) => readText(join(root, path)) !== text);
  for (const [path, text] of pages) writeFileSync(join(root, path), text);
  return pages.map(([path]) => path);
}

function readText(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}
