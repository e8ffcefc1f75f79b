import { readdirSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../tools/main.ts";

/** The names of the pages in a folder of the project, without those of its own folders. */
export function pagesIn(folder: string): readonly string[] {
  return readdirSync(join(ROOT, folder)).filter((name) => name.endsWith(".md"));
}

/** The part of a Markdown text under a heading, down to the next one. */
export function section(text: string, heading: string): string {
  const [, after] = text.split(new RegExp(`^#+ ${RegExp.escape(heading)}$\n`, "m"));
  if (after === undefined) throw new Error(`there is no heading "${heading}"`);
  const [found = ""] = after.split(/^#+ /m);
  return found;
}

/** The indented blocks of a Markdown text, without their indent. Readers paste them. */
export function blocks(text: string): readonly string[] {
  return (text.match(/(?:^ {4}.*\n)+/gm) ?? []).map((block) => block.replaceAll(/^ {4}/gm, ""));
}

/** The lines of a Markdown text that are neither indented nor fenced code. */
export function prose(text: string): readonly string[] {
  return text
    .replaceAll(/^```(?:.|\n)*?^```$/gm, "")
    .split("\n")
    .filter((line) => !line.startsWith("    "));
}

export interface Link {
  /** Relative to the page; empty for the page itself. */
  readonly path: string;
  readonly anchor: string | undefined;
}

/** A page's links to other pages of the project, and to its own headings. */
export function links(text: string): readonly Link[] {
  return [
    ...prose(text)
      .join("\n")
      .matchAll(/\]\(([^)#:\s]*)(?:#([^)]*))?\)/g),
  ].map(([, path = "", anchor]) => ({ path, anchor }));
}

/** The anchors of a page's headings, made as GitHub makes them. */
export function anchors(text: string): readonly string[] {
  const seen = new Map<string, number>();
  return prose(text)
    .flatMap((line) => /^#+ (.*)$/.exec(line)?.[1] ?? [])
    .map((heading) => {
      const anchor = heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\p{M}\s_-]/gu, "")
        .replaceAll(" ", "-");
      const count = seen.get(anchor) ?? 0;
      seen.set(anchor, count + 1);
      return count === 0 ? anchor : `${anchor}-${count}`;
    });
}
