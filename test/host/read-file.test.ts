import { describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ExitCode } from "../../lib/failure.ts";
import { readSmallFile } from "../../lib/host/read-file.ts";
import { failureOf } from "../support/failure.ts";
import { makeFifo, temporaryFolder } from "../support/folder.ts";
import { snippet } from "../support/snippet.ts";

describe("readSmallFile()", () => {
  test("reads a file whole, up to its limit, and tells whose it is", () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "file");
    for (const content of ["", "x", "x".repeat(100)]) {
      writeFileSync(path, content, { mode: 0o640 });
      const read = readSmallFile(path, 100);
      expect(read?.text).toBe(content);
      expect([read?.stats.uid, (read?.stats.mode ?? 0) & 0o777]).toEqual([process.getuid?.(), 0o640]);
    }
  });

  test("gives nothing where there is no file", () => {
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
    ["a FIFO, without waiting for a writer", "DIR/file is not a plain file", makeFifo],
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
    expect(failure.exitCode).toBe(ExitCode.data);
    expect(failure.message).toBe(words.replace("DIR", folder.path));
  });

  test("refuses what never ends without reading it", async () => {
    const failure = await failureOf(() => readSmallFile("/dev/zero", 100));
    expect(failure.message).toBe("/dev/zero is not a plain file");
  });

  test("refuses one that may not be read, and calls it what people do", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "file");
    writeFileSync(path, "x");
    chmodSync(path, 0o000);
    const code = `
      try { readSmallFile(${JSON.stringify(path)}, 100, "/etc/vault/token") }
      catch ({ exitCode, message }) { console.log(exitCode, message) }`;
    // Root obeys a file's mode without these two capabilities.
    const unprivileged =
      process.getuid?.() === 0 ? ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] : [];
    const run = Bun.spawnSync([...unprivileged, ...snippet("{ readSmallFile }", "host/read-file.ts", code)]);
    expect(run.stdout.toString()).toBe("77 can't read /etc/vault/token: permission denied (EACCES)\n");
  });
});
