import { describe, expect, test } from "bun:test";
import { chmodSync, lchownSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readOurFile, readSmallFile } from "../../lib/host/read-file.ts";
import { runInChild } from "../support/child.ts";
import { failureOf } from "../support/failure.ts";
import { makeFifo, temporaryFolder } from "../support/folder.ts";
import { snippet } from "../support/snippet.ts";

describe("readSmallFile()", () => {
  test("reads a whole file up to the limit, and returns its owner", () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "file");
    for (const content of ["", "x", "x".repeat(100)]) {
      writeFileSync(path, content, { mode: 0o640 });
      const read = readSmallFile(path, 100);
      expect(read?.text).toBe(content);
      expect([read?.stats.uid, (read?.stats.mode ?? 0) & 0o777]).toEqual([process.getuid?.(), 0o640]);
    }
  });

  test("returns undefined when there is no file", () => {
    using folder = temporaryFolder();
    expect(readSmallFile(join(folder.path, "file"), 100)).toBeUndefined();
    expect(readSmallFile(join(folder.path, "missing", "file"), 100)).toBeUndefined();
  });

  const refused: ReadonlyArray<readonly [name: string, words: string, make: (path: string) => void]> = [
    [
      "one byte too many",
      "DIR/file is longer than 100 bytes",
      (path) => writeFileSync(path, "x".repeat(101)),
    ],
    ["a folder", "DIR/file is not a plain file", (path) => mkdirSync(path)],
    [
      "a link",
      "can't read DIR/file: it is a symbolic link (ELOOP)",
      (path) => symlinkSync("/etc/hostname", path),
    ],
    [
      "a link to nothing",
      "can't read DIR/file: it is a symbolic link (ELOOP)",
      (path) => symlinkSync("nothing", path),
    ],
  ];
  test.each(refused)("refuses %s", async (_name, words, make) => {
    using folder = temporaryFolder();
    const path = join(folder.path, "file");
    make(path);
    const failure = await failureOf(() => readSmallFile(path, 100));
    expect(failure.kind).toBe("data");
    expect(failure.message).toBe(words.replace("DIR", folder.path));
  });

  test("refuses a FIFO without waiting for a writer", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "file");
    makeFifo(path);
    const code = `
      try { readSmallFile(${JSON.stringify(path)}, 100) }
      catch ({ kind, message }) { console.log(kind, message) }`;
    expect(await runInChild("{ readSmallFile }", "host/read-file.ts", code)).toBe(
      `data ${path} is not a plain file\n`,
    );
  });

  test("refuses an endless file without reading it", async () => {
    const failure = await failureOf(() => readSmallFile("/dev/zero", 100));
    expect(failure.message).toBe("/dev/zero is not a plain file");
  });

  test("refuses a file that this user can't read, with the name for messages", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "file");
    writeFileSync(path, "x");
    chmodSync(path, 0o000);
    const code = `
      try { readSmallFile(${JSON.stringify(path)}, 100, "/etc/vault/token") }
      catch ({ kind, message }) { console.log(kind, message) }`;
    // Without these two capabilities, root is bound by a file's mode.
    const unprivileged =
      process.getuid?.() === 0 ? ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] : [];
    const run = Bun.spawnSync([...unprivileged, ...snippet("{ readSmallFile }", "host/read-file.ts", code)]);
    expect(run.stdout.toString()).toBe(
      "permission can't read /etc/vault/token: permission denied (EACCES)\n",
    );
  });
});

describe("readOurFile()", () => {
  const read = (path: string) => readOurFile(path, 100, "they would decide")?.text;
  const foreignUid = 1234;

  /** A folder with the file `config`, and a folder beside it with another file. */
  function world() {
    const folder = temporaryFolder();
    const inner = join(folder.path, "default");
    mkdirSync(inner, { mode: 0o755 });
    writeFileSync(join(inner, "file"), "inner", { mode: 0o644 });
    return {
      path: join(folder.path, "config"),
      inner,
      target: join(inner, "file"),
      [Symbol.dispose]: () => folder[Symbol.dispose](),
    };
  }

  test("reads a file, and returns undefined when it is missing", () => {
    using it = world();
    expect(read(it.path)).toBeUndefined();
    writeFileSync(it.path, "plain", { mode: 0o600 });
    expect(read(it.path)).toBe("plain");
  });

  test("follows trusted links to such a file, absolute and relative ones", () => {
    using it = world();
    symlinkSync(it.inner, `${it.inner}-link`);
    symlinkSync("default-link/file", `${it.path}-2`);
    for (const to of [
      it.target,
      "default/file",
      "default-link/file",
      "./default/../default/file",
      "config-2",
    ]) {
      Bun.spawnSync(["ln", "-sfn", to, it.path]);
      expect([to, read(it.path)]).toEqual([to, "inner"]);
    }
  });

  const refused: ReadonlyArray<
    readonly [name: string, words: string, make: (it: ReturnType<typeof world>) => void]
  > = [
    ["a link to nothing", "leads to no file", (it) => symlinkSync("nothing", it.path)],
    ["a link into a missing folder", "leads to no file", (it) => symlinkSync("no/file", it.path)],
    ["a link to itself", "leads into an endless loop", (it) => symlinkSync("config", it.path)],
    ["a link to a folder", "is not a plain file", (it) => symlinkSync("default", it.path)],
    [
      "another user's link",
      "others can replace DIR/config",
      (it) => {
        symlinkSync(it.target, it.path);
        lchownSync(it.path, foreignUid, 0);
      },
    ],
    [
      "a link to another user's file",
      "others can replace DIR/default/file",
      (it) => {
        symlinkSync(it.target, it.path);
        lchownSync(it.target, foreignUid, 0);
      },
    ],
    [
      "a link to a file that a group can write",
      "DIR/config can be written by others",
      (it) => {
        symlinkSync(it.target, it.path);
        chmodSync(it.target, 0o664);
      },
    ],
    [
      "a link into another user's folder, where that user has made a hard link to a file of ours",
      "others can replace DIR/default/file",
      (it) => {
        writeFileSync(`${it.path}-ours`, "ours", { mode: 0o644 });
        Bun.spawnSync(["rm", it.target]);
        linkSync(`${it.path}-ours`, it.target);
        lchownSync(it.inner, foreignUid, 0);
        symlinkSync(it.target, it.path);
      },
    ],
    [
      "a link into a folder that a group can write",
      "others can replace DIR/default/file",
      (it) => {
        chmodSync(it.inner, 0o775);
        symlinkSync(it.target, it.path);
      },
    ],
    [
      "a link that leads through another user's link",
      "is a symbolic link",
      (it) => {
        symlinkSync(it.inner, `${it.inner}-link`);
        lchownSync(`${it.inner}-link`, foreignUid, 0);
        symlinkSync("default-link/file", it.path);
      },
    ],
  ];
  test.each(refused)("refuses %s", async (_name, words, make) => {
    using it = world();
    make(it);
    const failure = await failureOf(() => read(it.path));
    expect(failure.message).toContain(words.replace("DIR", it.path.replace("/config", "")));
    expect(failure.message).toContain(it.path.replace(/config$/, ""));
  });
});
