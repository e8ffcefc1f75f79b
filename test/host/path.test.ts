import { describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { isFilePath, isSameFilePath } from "../../lib/host/path.ts";
import { failureOf } from "../support/failure.ts";
import { temporaryFolder } from "../support/folder.ts";

describe("isFilePath()", () => {
  test.each(["a", "./a", "/a/b", "...", "/a/.b"])("accepts %p", (path) => {
    expect(isFilePath(path)).toBe(true);
  });

  test.each(["", ".", "..", "/", "a/", "a/.", "a/..", "a\n", "a\u001b/b"])("refuses %p", (path) => {
    expect(isFilePath(path)).toBe(false);
  });
});

describe("isSameFilePath()", () => {
  test("compares the folders themselves, not their paths", () => {
    using folder = temporaryFolder();
    const [real, link] = [join(folder.path, "real"), join(folder.path, "link")];
    mkdirSync(real);
    symlinkSync(real, link);
    expect(isSameFilePath(`${real}/a`, `${link}/a`)).toBe(true);
    expect(isSameFilePath(`${real}/a`, `${link}/../real/./a`)).toBe(true);
    expect(isSameFilePath(`${real}/a`, `${link}/b`)).toBe(false);
    expect(isSameFilePath(`${real}/a`, `${folder.path}/a`)).toBe(false);
  });

  test("compares paths when both folders are missing", () => {
    using folder = temporaryFolder();
    expect(isSameFilePath(`${folder.path}/x/a`, `${folder.path}/x/./a`)).toBe(true);
    expect(isSameFilePath(`${folder.path}/x/a`, `${folder.path}/y/a`)).toBe(false);
  });

  test("throws a Failure with the folder's path when it can't be examined", async () => {
    using folder = temporaryFolder();
    const loop = join(folder.path, "loop");
    symlinkSync(loop, loop);
    const { kind, message } = await failureOf(() => isSameFilePath(`${loop}/a`, `${folder.path}/a`));
    expect(kind).toBe("file");
    expect(message).toBe(`can't look at ${loop}: it is a symbolic link (ELOOP)`);
  });
});
