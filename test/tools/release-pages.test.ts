import { expect, test } from "bun:test";
import { join } from "node:path";
import { makeContents } from "../../tools/release/contents.ts";
import { links } from "../support/markdown.ts";

test("a release has every page that its pages for users link to", async () => {
  const { documents } = await makeContents(1e9, { repository: undefined });
  const pages = [...documents].filter(([path]) => path.endsWith(".md") && path !== "CONTRIBUTING.md");
  expect(pages.length).toBeGreaterThan(15);
  const linked = pages.flatMap(([page, entry]) => {
    const text = entry.kind === "file" ? String(entry.content) : "";
    return links(text).map(({ path }) => (path === "" ? page : join(page, "..", path)));
  });
  expect(linked).toContain("SECURITY.md");
  expect(linked.filter((path) => !documents.has(path))).toEqual([]);
});
