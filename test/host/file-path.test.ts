import { describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { isFilePath, isSamePlace } from "../../lib/host/file-path.ts";
import { failureOf } from "../support/failure.ts";
import { temporaryFolder } from "../support/folder.ts";

describe("isFilePath()", () => {
  test.each(["a", "./a", "/a/b", "...", "/a/.b"])("takes %p", (path) => {
    expect(isFilePath(path)).toBe(true);
  });

  test.each(["", ".", "..", "/", "a/", "a/.", "a/..", "a\n", "a\u001b/b"])("refuses %p", (path) => {
    expect(isFilePath(path)).toBe(false);
  });
});

describe("isSamePlace()", () => {
  test("goes by what the folders are", () => {
    using folder = temporaryFolder();
    const [real, link] = [join(folder.path, "real"), join(folder.path, "link")];
    mkdirSync(real);
    symlinkSync(real, link);
    expect(isSamePlace(`${real}/a`, `${link}/a`)).toBe(true);
    expect(isSamePlace(`${real}/a`, `${link}/../real/./a`)).toBe(true);
    expect(isSamePlace(`${real}/a`, `${link}/b`)).toBe(false);
    expect(isSamePlace(`${real}/a`, `${folder.path}/a`)).toBe(false);
  });

  test("tells nothing of two folders that are both missing, but for one name", () => {
    using folder = temporaryFolder();
    expect(isSamePlace(`${folder.path}/x/a`, `${folder.path}/x/./a`)).toBe(true);
    expect(isSamePlace(`${folder.path}/x/a`, `${folder.path}/y/a`)).toBe(false);
  });

  test("fails with a sentence where a folder can't be looked at", async () => {
    using folder = temporaryFolder();
    const loop = join(folder.path, "loop");
    symlinkSync(loop, loop);
    const { kind, message } = await failureOf(() => isSamePlace(`${loop}/a`, `${folder.path}/a`));
    expect(kind).toBe("file");
    expect(message).toBe(`can't look at ${loop}: it is a symbolic link (ELOOP)`);
  });
});
