import { describe, expect, test } from "bun:test";
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  createFile,
  removeTemporaries,
  replaceFile,
  setAttributes,
  wakeWatchers,
} from "../../lib/host/durable.ts";
import { type Call, trace } from "../crash/strace.ts";
import { temporaryFolder } from "../support/folder.ts";
import { snippet } from "../support/snippet.ts";
import { modeOf, treeOf } from "../support/tree.ts";

test("strace is installed, to see the system calls", () => {
  expect(Bun.which("strace")).toBeString();
});

/** The system calls that a few lines of code make below the folder. */
async function callsOf(folder: string, code: string, umask = "077"): Promise<readonly Call[]> {
  const names = "{ createFile, replaceFile, replaceLink }";
  const command = ["sh", "-c", `umask ${umask}; exec "$@"`, "sh", ...snippet(names, "host/durable.ts", code)];
  const run = await trace(command, { env: {}, folder });
  expect([run.code, run.stderr]).toEqual([0, ""]);
  const interesting = ["openat", "fchmod", "fchown", "write", "fsync", "rename", "symlink"];
  return run.calls.filter(({ name, failed }) => interesting.includes(name) && !failed);
}

describe("createFile()", () => {
  test("sets mode and owner before the first byte, and syncs the content, with any umask", async () => {
    for (const umask of ["000", "077"]) {
      using folder = temporaryFolder();
      const path = join(folder.path, "token");
      const code = `createFile(${JSON.stringify(path)}, "secret", { mode: 0o600, owner: { uid: 12, gid: 34 } })`;
      const calls = await callsOf(folder.path, code, umask);
      expect(calls.map(({ name }) => name)).toEqual(["openat", "fchmod", "fchown", "write", "fsync"]);
      expect(calls[0]?.line).toMatch(
        /O_WRONLY\|O_CREAT\|O_EXCL\|(O_LARGEFILE\|)?O_NOFOLLOW\|O_CLOEXEC, 0600\)/,
      );
      expect(calls.every((call) => call.path === path)).toBe(true);
      const { uid, gid } = statSync(path);
      expect([modeOf(path), uid, gid, readFileSync(path, "utf8")]).toEqual(["600", 12, 34, "secret"]);
    }
  });

  test("sets exactly the mode that was asked for", () => {
    using folder = temporaryFolder();
    for (const umask of [0o000, 0o077]) {
      const before = process.umask(umask);
      try {
        const path = join(folder.path, `file-${umask}`);
        createFile(path, "x", { mode: 0o644 });
        expect(modeOf(path)).toBe("644");
      } finally {
        process.umask(before);
      }
    }
  });

  test("never writes to an existing file, or through a link", () => {
    using folder = temporaryFolder();
    const [file, link] = [join(folder.path, "file"), join(folder.path, "link")];
    writeFileSync(file, "mine");
    symlinkSync("elsewhere", link);
    const before = treeOf(folder.path);
    for (const path of [file, link]) {
      expect(() => createFile(path, "theirs", { mode: 0o600 })).toThrow("EEXIST");
    }
    expect(Object.keys(treeOf(folder.path))).toEqual(Object.keys(before));
    expect(readFileSync(file, "utf8")).toBe("mine");
    expect(existsSync(join(folder.path, "elsewhere"))).toBe(false);
  });

  test("leaves no file when it fails", () => {
    using folder = temporaryFolder();
    const owner = { uid: -2, gid: 0 };
    expect(() => createFile(join(folder.path, "file"), "x", { mode: 0o600, owner })).toThrow();
    expect(readdirSync(folder.path)).toEqual([]);
  });

  test("writes all of a long content", () => {
    using folder = temporaryFolder();
    const content = "0123456789".repeat(500_000);
    createFile(join(folder.path, "file"), content, { mode: 0o600 });
    expect(readFileSync(join(folder.path, "file"), "utf8")).toBe(content);
  });
});

describe("replaceFile()", () => {
  test("syncs the content before the rename, and the folder after it", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "token");
    writeFileSync(path, "old");
    const calls = await callsOf(folder.path, `replaceFile(${JSON.stringify(path)}, "new", { mode: 0o600 })`);
    expect(calls.map(({ name }) => name)).toEqual([
      "openat",
      "fchmod",
      "write",
      "fsync",
      "rename",
      "openat",
      "fsync",
    ]);
    const [created, , , , renamed, , synced] = calls;
    expect(created?.path).toStartWith(`${folder.path}/.token.tmp-`);
    expect([renamed?.path, renamed?.target]).toEqual([created?.path, path]);
    expect(synced?.path).toBe(folder.path);
    expect(readFileSync(path, "utf8")).toBe("new");
  });

  test("replaces a link by a file, and leaves the target alone", () => {
    using folder = temporaryFolder();
    const [path, target] = [join(folder.path, "token"), join(folder.path, "target")];
    writeFileSync(target, "theirs");
    symlinkSync("target", path);
    replaceFile(path, "ours", { mode: 0o600 });
    expect([readFileSync(path, "utf8"), readFileSync(target, "utf8")]).toEqual(["ours", "theirs"]);
  });

  test("leaves only the old file when it fails", () => {
    using folder = temporaryFolder();
    mkdirSync(join(folder.path, "token"));
    expect(() => replaceFile(join(folder.path, "token"), "new", { mode: 0o600 })).toThrow("EISDIR");
    expect(readdirSync(folder.path)).toEqual(["token"]);
    expect(() => replaceFile(join(folder.path, "missing", "token"), "new", { mode: 0o600 })).toThrow(
      "ENOENT",
    );
  });
});

describe("replaceLink()", () => {
  test("replaces a link by a rename, and syncs the folder", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "current");
    symlinkSync("one", path);
    const calls = await callsOf(folder.path, `replaceLink(${JSON.stringify(path)}, "two")`);
    // symlink(2) has the link's content as its first argument, and the path below the folder as its second.
    expect(calls.map(({ name }) => name).filter((name) => name !== "symlink")).toEqual([
      "rename",
      "openat",
      "fsync",
    ]);
    expect(readlinkSync(path)).toBe("two");
    expect(readdirSync(folder.path)).toEqual(["current"]);
  });
});

describe("removeTemporaries()", () => {
  test("removes what a killed run left of this path only", () => {
    using folder = temporaryFolder();
    const kept = [
      "token",
      ".token",
      ".token.tmp-",
      ".token.tmp-0123",
      ".token.tmp-0123456789ag",
      ".tokens.tmp-0123456789ab",
      "token.tmp-0123456789ab",
    ];
    for (const name of [...kept, ".token.tmp-0123456789ab", ".token.tmp-ffffffffffff"]) {
      writeFileSync(join(folder.path, name), "x");
    }
    removeTemporaries(join(folder.path, "token"));
    expect(readdirSync(folder.path).toSorted()).toEqual(kept.toSorted());
  });
});

describe("setAttributes()", () => {
  test("removes bits that are too wide, adds none, and says whether it did", () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "file");
    for (const [found, wanted, mode, changed] of [
      [0o644, 0o600, "600", "fixed"],
      [0o600, 0o644, "600", "right"],
      [0o400, 0o600, "400", "right"],
      [0o4755, 0o644, "644", "fixed"],
    ] as const) {
      createFile(path, "x", { mode: found });
      expect(setAttributes(path, { mode: wanted })).toBe(changed);
      expect(modeOf(path)).toBe(mode);
      rmSync(path);
    }
  });

  test("follows no link", () => {
    using folder = temporaryFolder();
    const [target, link] = [join(folder.path, "target"), join(folder.path, "link")];
    createFile(target, "x", { mode: 0o666 });
    symlinkSync("target", link);
    expect(() => setAttributes(link, { mode: 0o600, owner: { uid: 1, gid: 1 } })).toThrow("ELOOP");
    expect([modeOf(target), statSync(target).uid]).toEqual(["666", 0]);
  });
});

describe("wakeWatchers()", () => {
  const factsOf = (path: string) => {
    const { ino, mode, uid, gid, size, nlink, mtimeNs, ctimeNs } = lstatSync(path, { bigint: true });
    return { others: [ino, mode, uid, gid, size, nlink, mtimeNs], ctimeNs };
  };

  test("changes a file's ctime and nothing else", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "key.pem");
    writeFileSync(path, "key\n", { mode: 0o440 });
    chownSync(path, 12, 34);
    const before = factsOf(path);
    await Bun.sleep(20); // longer than the clock tick of a ctime
    wakeWatchers(path);
    const after = factsOf(path);
    expect(after.others).toEqual(before.others);
    expect(after.ctimeNs).toBeGreaterThan(before.ctimeNs);
  });

  test("leaves the target of a link alone, and accepts that a file is missing", async () => {
    using folder = temporaryFolder();
    const [target, link] = [join(folder.path, "target"), join(folder.path, "link")];
    writeFileSync(target, "");
    symlinkSync(target, link);
    const before = factsOf(target);
    await Bun.sleep(20);
    wakeWatchers(link);
    expect(factsOf(target)).toEqual(before);
    rmSync(link);
    wakeWatchers(link);
  });
});
