import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dir, "..");
const pages = readdirSync(join(ROOT, "docs")).filter((name) => name.endsWith(".md"));
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

describe.each(pages)("docs/%s", (page) => {
  const text = read(`docs/${page}`);

  test("names files of this project that are there", () => {
    const named = [...text.matchAll(/`((?:test|lib|units|scripts|tools)\/[\w./@-]+)`/g)].map(
      ([, path = ""]) => path,
    );
    expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  test("quotes titles of tests as they stand", () => {
    const quoted = [...text.matchAll(/`(test\/[\w./-]+\.ts)`: ("[^|]+?)(?= \||\)| \()/g)].flatMap(
      ([, path = "", titles = ""]) =>
        [...titles.matchAll(/"([^"]+)"/g)].map(([, title = ""]) => ({
          path,
          title: title.replace(/ …$/, ""),
        })),
    );
    expect(quoted.filter(({ path, title }) => !read(path).includes(title))).toEqual([]);
    if (page === "security.md") expect(quoted.length).toBeGreaterThan(4);
  });

  test("links to pages that are there", () => {
    const links = [...text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(([, path = ""]) => path);
    expect(links.filter((path) => !existsSync(join(ROOT, "docs", path)))).toEqual([]);
  });
});
