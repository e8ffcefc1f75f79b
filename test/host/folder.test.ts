import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { keepFoldersOpen, openFolder, openInside } from "../../lib/host/folder.ts";
import { runInChild } from "../support/child.ts";
import { failureOf } from "../support/failure.ts";
import { temporaryFolder } from "../support/folder.ts";
import { modeOf, treeOf } from "../support/tree.ts";

/** Folders that this process holds open. Other descriptors come and go with the child processes of tests. */
const openFolders = () =>
  readdirSync("/proc/self/fd").filter((fd) =>
    statSync(`/proc/self/fd/${fd}`, { throwIfNoEntry: false })?.isDirectory(),
  ).length;

describe("openFolder()", () => {
  test("stays with the folder when something else is put in its place", () => {
    using root = temporaryFolder();
    const path = join(root.path, "a");
    mkdirSync(path);
    using folder = openFolder(path);
    expect(folder.name).toBe(path);
    renameSync(path, join(root.path, "moved"));
    symlinkSync("/", path);
    writeFileSync(join(folder.path, "file"), "x");
    expect(readdirSync(join(root.path, "moved"))).toEqual(["file"]);
  });

  test("makes missing folders with mode and owner, with any umask, and leaves existing ones alone", () => {
    using root = temporaryFolder();
    mkdirSync(join(root.path, "there"), { mode: 0o777 });
    writeFileSync(join(root.path, "there", "file"), "x");
    const before = modeOf(join(root.path, "there"));
    const umask = process.umask(0o077);
    try {
      openFolder(join(root.path, "there/a/b"), { mode: 0o750, owner: { uid: 12, gid: 34 } })[
        Symbol.dispose
      ]();
    } finally {
      process.umask(umask);
    }
    for (const name of ["there/a", "there/a/b"]) {
      const { uid, gid } = statSync(join(root.path, name));
      expect([modeOf(join(root.path, name)), uid, gid]).toEqual(["750", 12, 34]);
    }
    expect([modeOf(join(root.path, "there")), statSync(join(root.path, "there")).uid]).toEqual([before, 0]);
  });

  test("refuses a folder of certificate sets, also through a link, and makes nothing on the way", async () => {
    using root = temporaryFolder();
    mkdirSync(join(root.path, ".it.set"));
    symlinkSync(".it.set", join(root.path, "link"));
    for (const path of [".it.set", ".it.set/a", "link", "link/a", "new/.a.set/b"]) {
      const failure = await failureOf(() => openFolder(join(root.path, path), { mode: 0o750 }));
      expect([failure.kind, failure.message]).toEqual([
        "usage",
        expect.stringMatching(/^\.(it|a)\.set in the path \S+ is reserved for the files of one certificate$/),
      ]);
    }
    expect(readdirSync(root.path).sort()).toEqual([".it.set", "link"]);
    for (const name of [".set", "a.set", ".a.sets", ".a.set.b"]) mkdirSync(join(root.path, name));
    for (const name of [".set", "a.set", ".a.sets", ".a.set.b"])
      openFolder(join(root.path, name))[Symbol.dispose]();
  });

  test("follows links of root and of the running user, absolute and relative", () => {
    using root = temporaryFolder();
    mkdirSync(join(root.path, "real/inner"), { recursive: true });
    symlinkSync("real", join(root.path, "relative"));
    symlinkSync(join(root.path, "relative"), join(root.path, "absolute"));
    symlinkSync("../absolute/./inner", join(root.path, "real/up"));
    for (const name of ["relative/inner", "absolute/inner", "real/up"]) {
      using folder = openFolder(join(root.path, name));
      expect(readlinkSync(folder.path)).toBe(join(root.path, "real/inner"));
    }
  });

  test("doesn't follow another user's link, and makes nothing behind it", async () => {
    using root = temporaryFolder();
    mkdirSync(join(root.path, "target"));
    symlinkSync("target", join(root.path, "link"));
    lchownSync(join(root.path, "link"), 4321, 4321);
    const before = treeOf(root.path);
    for (const make of [undefined, { mode: 0o750 }]) {
      const failure = await failureOf(() => openFolder(join(root.path, "link/inner"), make));
      expect(failure.kind).toBe("file");
      expect(failure.message).toContain("is a symbolic link of another user (4321), and is not followed");
    }
    expect(treeOf(root.path)).toEqual(before);
  });

  test("refuses a loop of links, and then holds nothing open", async () => {
    using root = temporaryFolder();
    const loop = join(root.path, "loop");
    symlinkSync("loop", loop);
    const code = `
      const { readdirSync } = await import("node:fs");
      const held = () => readdirSync("/proc/self/fd").length;
      const before = held();
      try { openFolder(${JSON.stringify(loop)}) }
      catch ({ message }) { console.log(message, held() - before) }`;
    const printed = await runInChild("{ openFolder }", "host/folder.ts", code);
    expect(printed).toBe(`${loop} has too many links in it 0\n`);
  });

  test("refuses a file and a missing folder, and then holds nothing open", () => {
    using root = temporaryFolder();
    writeFileSync(join(root.path, "file"), "x");
    const before = openFolders();
    expect(() => openFolder(join(root.path, "file"))).toThrow("ENOTDIR");
    expect(() => openFolder(join(root.path, "missing"))).toThrow("ENOENT");
    openFolder(root.path)[Symbol.dispose]();
    expect(openFolders()).toBe(before);
  });
});

describe("keepFoldersOpen()", () => {
  test("returns the real path of a folder that only root can change, and holds nothing open", () => {
    using root = temporaryFolder();
    mkdirSync(join(root.path, "real/inner/.set"), { recursive: true });
    symlinkSync(join(root.path, "real"), join(root.path, "link"));
    const before = openFolders();
    using folders = keepFoldersOpen();
    const folder = folders.open(join(root.path, "link/inner"));
    expect(folder.path).toBe(join(root.path, "real/inner"));
    expect(openInside(folder, ".set").path).toBe(join(root.path, "real/inner/.set"));
    expect(openFolders()).toBe(before);
  });

  const changes: ReadonlyArray<readonly [name: string, change: (outer: string, inner: string) => void]> = [
    ["belongs to another user", (_, inner) => chownSync(inner, 4321, 4321)],
    ["others can write in", (_, inner) => chmodSync(inner, 0o775)],
    ["is in another user's folder", (outer) => chownSync(outer, 4321, 4321)],
    ["is in a folder that others can write in", (outer) => chmodSync(outer, 0o777)],
  ];
  test.each(changes)("holds a folder open that %s", (_, change) => {
    using root = temporaryFolder();
    const [outer, inner] = [join(root.path, "outer"), join(root.path, "outer/inner")];
    mkdirSync(join(inner, ".set"), { recursive: true });
    change(outer, inner);
    const before = openFolders();
    {
      using folders = keepFoldersOpen();
      const folder = folders.open(inner);
      renameSync(inner, join(root.path, "moved"));
      symlinkSync("/", inner);
      expect(readdirSync(folder.path)).toEqual([".set"]);
      using set = openInside(folder, ".set");
      expect(readlinkSync(set.path)).toBe(join(root.path, "moved/.set"));
    }
    expect(openFolders()).toBe(before);
  });

  test("returns the path when each folder above is root's or sticky", () => {
    using root = temporaryFolder();
    mkdirSync(join(root.path, "a/b"), { recursive: true });
    chmodSync(join(root.path, "a"), 0o1777);
    using folders = keepFoldersOpen();
    expect(folders.open(join(root.path, "a/b")).path).toBe(join(root.path, "a/b"));
  });

  test("refuses a folder inside it that other users can change, and a link", async () => {
    using root = temporaryFolder();
    for (const name of ["foreign", "wide", "elsewhere"]) mkdirSync(join(root.path, name), { mode: 0o755 });
    chownSync(join(root.path, "foreign"), 4321, 4321);
    chmodSync(join(root.path, "wide"), 0o777);
    symlinkSync("elsewhere", join(root.path, "link"));
    using folders = keepFoldersOpen();
    const folder = folders.open(root.path);
    for (const name of ["foreign", "wide"]) {
      expect((await failureOf(() => openInside(folder, name))).message).toContain(
        "can be changed by other users",
      );
    }
    expect(() => openInside(folder, "link")).toThrow("ENOTDIR");
    expect(() => openInside(folder, "missing")).toThrow("ENOENT");
    expect(() => folders.open(join(root.path, "missing"))).toThrow("ENOENT");
  });
});

describe("openInside()", () => {
  test("opens a folder that only root can change", () => {
    using root = temporaryFolder();
    using outer = openFolder(root.path);
    using inner = openInside(outer, ".set", { mode: 0o755 });
    expect(readlinkSync(inner.path)).toBe(join(root.path, ".set"));
    expect(modeOf(join(root.path, ".set"))).toBe("755");
  });

  const others: ReadonlyArray<readonly [name: string, words: string, make: (path: string) => void]> = [
    [
      "another user's folder",
      "its owner is 4321",
      (path) => {
        mkdirSync(path);
        Bun.spawnSync(["chown", "4321", path]);
      },
    ],
    [
      "a folder that others can write in",
      "its mode 777",
      (path) => {
        mkdirSync(path);
        Bun.spawnSync(["chmod", "777", path]);
      },
    ],
  ];
  test.each(others)("refuses %s", async (_name, words, make) => {
    using root = temporaryFolder();
    make(join(root.path, ".set"));
    writeFileSync(join(root.path, ".set", "file"), "x");
    using outer = openFolder(root.path);
    for (const options of [undefined, { mode: 0o755 }]) {
      const failure = await failureOf(() => openInside(outer, ".set", options));
      expect(failure.kind).toBe("file");
      expect(failure.message).toContain(words);
    }
  });

  test("refuses a link, even one of root's", () => {
    using root = temporaryFolder();
    mkdirSync(join(root.path, "elsewhere"));
    symlinkSync("elsewhere", join(root.path, ".set"));
    using outer = openFolder(root.path);
    expect(() => openInside(outer, ".set", { mode: 0o755 })).toThrow("ENOTDIR");
  });
});
