import { describe, expect, test } from "bun:test";
import {
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
import { ExitCode } from "../../lib/failure.ts";
import { openFolder, openInside } from "../../lib/host/folder.ts";
import { failureOf } from "../support/failure.ts";
import { temporaryFolder } from "../support/folder.ts";
import { modeOf, treeOf } from "../support/tree.ts";

const openDescriptors = () => readdirSync("/proc/self/fd").length;

describe("openFolder()", () => {
  test("holds the folder itself: what is put in its place later is not it", () => {
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

  test("makes what is missing, with mode and owner, whatever the umask, and leaves what is there", () => {
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

  test("follows root's links and its own, absolute and relative", () => {
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

  test("follows no other user's link, and makes nothing beyond it", async () => {
    using root = temporaryFolder();
    mkdirSync(join(root.path, "target"));
    symlinkSync("target", join(root.path, "link"));
    lchownSync(join(root.path, "link"), 4321, 4321);
    const before = treeOf(root.path);
    for (const make of [undefined, { mode: 0o750 }]) {
      const failure = await failureOf(() => openFolder(join(root.path, "link/inner"), make));
      expect(failure.exitCode).toBe(ExitCode.cantCreate);
      expect(failure.message).toContain("is a symbolic link of another user (4321), and is not followed");
    }
    expect(treeOf(root.path)).toEqual(before);
  });

  test("refuses a loop, a file and a missing folder, and holds nothing open then", async () => {
    using root = temporaryFolder();
    symlinkSync("loop", join(root.path, "loop"));
    writeFileSync(join(root.path, "file"), "x");
    const before = openDescriptors();
    const failure = await failureOf(() => openFolder(join(root.path, "loop")));
    expect(failure.message).toContain("too many links");
    expect(() => openFolder(join(root.path, "file"))).toThrow("ENOTDIR");
    expect(() => openFolder(join(root.path, "missing"))).toThrow("ENOENT");
    openFolder(root.path)[Symbol.dispose]();
    expect(openDescriptors()).toBe(before);
  });
});

describe("openInside()", () => {
  test("opens a folder that is this tool's alone", () => {
    using root = temporaryFolder();
    using outer = openFolder(root.path);
    using inner = openInside(outer, ".set", { mode: 0o755 });
    expect(readlinkSync(inner.path)).toBe(join(root.path, ".set"));
    expect(modeOf(join(root.path, ".set"))).toBe("755");
  });

  const others: ReadonlyArray<readonly [name: string, words: string, make: (path: string) => void]> = [
    [
      "another user's",
      "its owner is 4321",
      (path) => {
        mkdirSync(path);
        Bun.spawnSync(["chown", "4321", path]);
      },
    ],
    [
      "one that others may write to",
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
      expect(failure.exitCode).toBe(ExitCode.cantCreate);
      expect(failure.message).toContain(words);
    }
  });

  test("refuses a link, whoever made it", () => {
    using root = temporaryFolder();
    mkdirSync(join(root.path, "elsewhere"));
    symlinkSync("elsewhere", join(root.path, ".set"));
    using outer = openFolder(root.path);
    expect(() => openInside(outer, ".set", { mode: 0o755 })).toThrow("ENOTDIR");
  });
});
