import { expect, test } from "bun:test";
import { chownSync } from "node:fs";
import { releaseTime } from "../../tools/release.ts";
import { temporaryFolder } from "../support/folder.ts";
import { output } from "./released.ts";

const isRoot = process.getuid?.() === 0;

test.skipIf(!isRoot)("a release has its commit's time, even from another user's clone", async () => {
  using folder = temporaryFolder();
  const git = async (...words: string[]) => await output(["git", "-C", folder.path, ...words]);
  await git("init", "--quiet");
  const by = ["-c", "user.name=x", "-c", "user.email=x@example.com"];
  await git(...by, "commit", "--quiet", "--allow-empty", "--no-gpg-sign", "--message=x");
  const time = Number(await git("log", "-1", "--format=%ct"));
  chownSync(folder.path, 65_534, 65_534);
  chownSync(`${folder.path}/.git`, 65_534, 65_534);
  expect(await releaseTime(folder.path)).toBe(time);
});
