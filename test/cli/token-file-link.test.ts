import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, lchownSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { givenToken } from "../../lib/cli/environment.ts";
import { failureOf } from "../support/failure.ts";
import { temporaryFolder } from "../support/folder.ts";

const folder = temporaryFolder();
afterAll(() => folder[Symbol.dispose]());
const isRoot = process.getuid?.() === 0;

/** A secret, in the layout of a Kubernetes mount. */
function mount(name: string): string {
  const path = join(folder.path, name);
  mkdirSync(join(path, "..2026"), { recursive: true, mode: 0o755 });
  writeFileSync(join(path, "..2026/token"), "hvs.mounted\n", { mode: 0o600 });
  symlinkSync("..2026", join(path, "..data"));
  symlinkSync("..data/token", join(path, "token"));
  return path;
}

const tokenOf = (path: string, name = "VAULT_TOKEN_FILE") => givenToken({ [name]: path });

describe("givenToken() of a symbolic link", () => {
  test("reads the token through the user's own link", () => {
    const path = mount("mounted");
    expect(tokenOf(join(path, "token"))).toBe("hvs.mounted");
    symlinkSync(join(path, "token"), join(folder.path, "whole-path"));
    expect(tokenOf(join(folder.path, "whole-path"), "BAO_TOKEN_FILE")).toBe("hvs.mounted");
    symlinkSync("mounted", join(folder.path, "folder"));
    expect(tokenOf(join(folder.path, "folder/token"))).toBe("hvs.mounted");
  });

  test.each([
    ["leads nowhere", "leads to no file", (path: string) => symlinkSync("nowhere", join(path, "link"))],
    [
      "leads to itself",
      "leads into an endless loop",
      (path: string) => symlinkSync("link", join(path, "link")),
    ],
    [
      "is in a folder where others can replace it",
      "others can replace",
      (path: string) => {
        symlinkSync("token", join(path, "link"));
        chmodSync(path, 0o777);
      },
    ],
    [
      "leads through a folder where others can replace it",
      "others can replace",
      (path: string) => {
        symlinkSync("..data/token", join(path, "link"));
        chmodSync(join(path, "..2026"), 0o777);
      },
    ],
  ])("refuses one that %s", async (what, words, spoil) => {
    const path = mount(what);
    spoil(path);
    const failure = await failureOf(() => tokenOf(join(path, "link")));
    expect(failure.message).toContain(words);
    expect(failure.message).not.toContain("hvs.");
    expect(failure.kind).toBe("config");
  });

  test.skipIf(!isRoot)("refuses another user's link, and a link to another user's file", async () => {
    const path = mount("foreign");
    symlinkSync("..data/token", join(path, "theirs"));
    lchownSync(join(path, "theirs"), 4242, 4242);
    const failure = await failureOf(() => tokenOf(join(path, "theirs")));
    expect(failure.message).toContain("others can replace");
    lchownSync(join(path, "..2026/token"), 4242, 4242);
    const file = await failureOf(() => tokenOf(join(path, "token")));
    expect(file.message).toContain("others can replace");
    expect([failure.kind, file.kind]).toEqual(["config", "config"]);
  });
});
