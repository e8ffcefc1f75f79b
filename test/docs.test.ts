import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { exampleFile } from "./cluster/file.ts";
import { anchors, blocks, links, pagesIn, prose } from "./support/markdown.ts";

const ROOT = join(import.meta.dir, "..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");
const pages = [...pagesIn("."), "test/README.md", ...pagesIn("docs").map((name) => `docs/${name}`)];

describe.each(pages)("%s", (page) => {
  const text = read(page);

  test("names only files that exist", () => {
    const named = [...text.matchAll(/`((?:test|lib|units|scripts|tools|docs)\/[\w./@-]+)`/g)].map(
      ([, path = ""]) => path,
    );
    expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  test("quotes titles of tests exactly", () => {
    const quoted = [...text.matchAll(/`(test\/[\w./-]+\.ts)`: ("[^|]+?)(?= \||\)| \()/g)].flatMap(
      ([, path = "", titles = ""]) =>
        [...titles.matchAll(/"([^"]+)"/g)].map(([, title = ""]) => ({
          path,
          title: title.replace(/ …$/, ""),
        })),
    );
    expect(quoted.filter(({ path, title }) => !read(path).includes(title))).toEqual([]);
    if (page === "docs/security.md") expect(quoted.length).toBeGreaterThan(4);
    if (page === "docs/servers.md") expect(quoted.length).toBe(4);
  });

  test("links only to pages and headings that exist", () => {
    const dead = links(text).filter(({ path, anchor }) => {
      const target = path === "" ? page : join(dirname(page), path);
      if (!existsSync(join(ROOT, target))) return true;
      return anchor !== undefined && !anchors(read(target)).includes(anchor);
    });
    expect(dead).toEqual([]);
  });
});

const written = pages.filter((page) => !read(page).includes("`npm run format` writes it."));
test.each(written)("%s has lines of at most 120 characters, except for tables and commands", (page) => {
  expect(prose(read(page)).filter((line) => line.length > 120 && !line.startsWith("|"))).toEqual([]);
});

test("README.md has at most 10 kB, and links to the index", () => {
  expect(Buffer.byteLength(read("README.md"))).toBeLessThanOrEqual(10_000);
  expect(links(read("README.md")).map(({ path }) => path)).toContain("docs/README.md");
});

test("docs/README.md lists every page of its folder", () => {
  const listed = links(read("docs/README.md")).map(({ path }) => path);
  const others = pagesIn("docs").filter((name) => name !== "README.md");
  expect(others.filter((name) => !listed.includes(name))).toEqual([]);
});

test("docs/admins.md shows the cluster file that the tests read", () => {
  expect(read("docs/admins.md").replaceAll(/^ {4}/gm, "")).toContain(exampleFile);
});

/** The sources in some folders, with strings of several lines joined. */
function sources(...folders: readonly string[]): string {
  const files = folders.flatMap((folder) =>
    [...new Bun.Glob(`${folder}/**/*.ts`).scanSync(ROOT)].map((path) => read(path)),
  );
  return files.join("\n").replaceAll(/["`] \+\s+["`]/g, "");
}

describe("docs/troubleshooting.md quotes", () => {
  const [ours = "", servers = ""] = read("docs/troubleshooting.md").split("\n## What the server says\n");
  /** The quotes in the first column of the tables, split at `…`. */
  const quoted = (text: string) =>
    text
      .split("\n")
      .filter((line) => line.startsWith("| `"))
      .flatMap((line) => [...(line.split(" | ")[0] ?? "").matchAll(/`([^`]+)`/g)])
      .flatMap(([, message = ""]) => message.split("…").map((part) => part.trim()))
      .filter((part) => part.length > 1);

  test("messages exactly as in the code", () => {
    const code = sources("lib", "scripts");
    expect(quoted(ours).length).toBeGreaterThan(40);
    expect(quoted(ours).filter((part) => !code.includes(part))).toEqual([]);
  });

  test("servers' messages as recorded, or as the code knows them", () => {
    const known = sources("lib/vault", "test/support", "test/vault", "test/tasks");
    expect(quoted(servers).length).toBeGreaterThan(5);
    expect(quoted(servers).filter((part) => !known.includes(part))).toEqual([]);
  });
});

test.each(["docs/status.md", "docs/admins.md"])(
  "%s shows reasons of a status exactly as in the code",
  (page) => {
    const code = sources("lib");
    const [head = "", ...rows] = blocks(read(page))
      .filter((block) => block.startsWith("STATE "))
      .flatMap((block) => block.trimEnd().split("\n"));
    // Numbers, an issuer's behavior and a role are put into the code's words.
    const reasons = rows
      .filter((row) => /^(wrong|due) /.test(row))
      .flatMap((row) => row.slice(head.indexOf("ABOUT")).split(/[;,:()]|\S*\d\S*|\b(?:refuses|client)\b/))
      .map((words) => words.trim())
      .filter((words) => words.includes(" "));
    expect(reasons.length).toBeGreaterThan(2);
    expect(reasons.filter((words) => !code.includes(words))).toEqual([]);
  },
);
