import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { makeFifo, temporaryFolder } from "../support/folder.ts";
import { runCommand, runScript, scriptPath } from "../support/script.ts";
import { modeOf, treeOf } from "../support/tree.ts";
import { isOneSentence, otherUser, runAsOtherUser, type Stage, setStage, signPath } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await setStage();
});
afterAll(() => stage[Symbol.asyncDispose]());
beforeEach(() => stage.relay.reset());

const suffixes = ["-key.pem", ".pem", "-ca.pem"] as const;
const issue = (destination: string, ...flags: string[]) =>
  runScript("issue-cert", [...flags, "--", signPath, "etcd-1", destination], { env: stage.admin });

function give(path: string): void {
  lchownSync(path, otherUser.uid, otherUser.gid);
}

interface Refused {
  readonly name: string;
  readonly code: number;
  readonly words: string;
  /** Below the test's folder. @default ssl/etcd */
  readonly destination?: string;
  readonly flags?: readonly string[];
  /** Prepares the files. By default `ssl` is a folder of root. */
  prepare?(folder: string): void;
}

const long = (length: number) => "x".repeat(length);

const refused: readonly Refused[] = [
  {
    name: "one that ends with a slash",
    destination: "ssl/",
    code: 64,
    words: "can't be a certificate's destination",
  },
  {
    name: "one that ends with ..",
    destination: "ssl/..",
    code: 64,
    words: "can't be a certificate's destination",
  },
  {
    name: "one that ends with .",
    destination: "ssl/.",
    code: 64,
    words: "can't be a certificate's destination",
  },
  { name: "one with a line feed", destination: "ssl/a\nb", code: 64, words: "/ssl/a\\nb\" can't be a" },
  {
    name: "one that looks like a flag",
    destination: "ssl/-x",
    code: 64,
    words: "can't be a certificate's destination",
  },
  {
    name: "one among the sets of another certificate",
    destination: "ssl/.kubelet.set/etcd",
    code: 64,
    words: "/ssl/.kubelet.set is reserved for the files of one certificate",
  },
  {
    name: "a name that is too long with its endings",
    destination: `ssl/${long(230)}`,
    code: 64,
    words: "is too long for a certificate's destination",
  },
  {
    name: "a folder's name that is too long for the system",
    destination: `ssl/${long(256)}/etcd`,
    code: 73,
    words: "the name is too long (ENAMETOOLONG)",
  },
  {
    name: "a path that is too long for the system",
    destination: `ssl/${"y/".repeat(250)}etcd`,
    code: 64,
    words: "is too long for a certificate's destination",
  },
  {
    name: "one below a file",
    destination: "ssl/file/etcd",
    code: 73,
    words: "a part of the path is not a folder (ENOTDIR)",
    prepare: (folder) => writeFileSync(join(folder, "ssl/file"), ""),
  },
  ...suffixes.flatMap((suffix): Refused[] => [
    {
      name: `a FIFO at *${suffix}`,
      code: 65,
      words: `/ssl/etcd${suffix} is not a plain file`,
      prepare: (folder) => makeFifo(join(folder, `ssl/etcd${suffix}`)),
    },
    {
      name: `a folder at *${suffix}`,
      code: 65,
      words: `/ssl/etcd${suffix} is not a plain file`,
      prepare: (folder) => mkdirSync(join(folder, `ssl/etcd${suffix}`)),
    },
    {
      name: `a link to elsewhere at *${suffix}`,
      code: 73,
      words: `/ssl/etcd${suffix} is a symbolic link to ../other, which this tool did not make`,
      prepare: (folder) => symlinkSync("../other", join(folder, `ssl/etcd${suffix}`)),
    },
    {
      name: `a link to /dev/null at *${suffix}`,
      code: 73,
      words: "is a symbolic link to /dev/null, which",
      prepare: (folder) => symlinkSync("/dev/null", join(folder, `ssl/etcd${suffix}`)),
    },
  ]),
  {
    name: "another user's link in the middle of the path",
    code: 73,
    destination: "link/etcd",
    words: "link in the path",
    prepare: (folder) => linkOfOtherUser(join(folder, "link"), "ssl"),
  },
  {
    name: "another user's link above the last folder",
    code: 73,
    destination: "link/ssl/etcd",
    words: `is a symbolic link of another user (${otherUser.uid}), and is not followed`,
    prepare: (folder) => {
      mkdirSync(join(folder, "real/ssl"), { recursive: true });
      linkOfOtherUser(join(folder, "link"), "real");
    },
  },
  {
    name: "root's link in another user's folder",
    code: 73,
    destination: "home/link/etcd",
    words: "is a symbolic link in a folder that others can write, and is not followed",
    prepare: (folder) => linkInFolder(join(folder, "home"), () => give(join(folder, "home"))),
  },
  {
    name: "root's link in a folder that all may write",
    code: 73,
    destination: "home/link/etcd",
    words: "is a symbolic link in a folder that others can write, and is not followed",
    prepare: (folder) => linkInFolder(join(folder, "home"), () => chmodSync(join(folder, "home"), 0o777)),
  },
  {
    name: "a link in place of the set folder",
    code: 73,
    words: "can't open the folder",
    prepare: (folder) => symlinkSync("../other", join(folder, "ssl/.etcd.set")),
  },
  {
    name: "a file in place of the set folder",
    code: 73,
    words: "can't open the folder",
    prepare: (folder) => writeFileSync(join(folder, "ssl/.etcd.set"), ""),
  },
  {
    name: "another user's folder in place of the set folder",
    code: 73,
    words: "/ssl/.etcd.set can be changed by other users (its owner is 65534, its mode 755)",
    prepare: (folder) => {
      mkdirSync(join(folder, "ssl/.etcd.set"));
      give(join(folder, "ssl/.etcd.set"));
    },
  },
  {
    name: "a set folder that all may write",
    code: 73,
    words: "/ssl/.etcd.set can be changed by other users (its owner is 0, its mode 777)",
    prepare: (folder) => {
      mkdirSync(join(folder, "ssl/.etcd.set"));
      chmodSync(join(folder, "ssl/.etcd.set"), 0o777);
    },
  },
  {
    name: "an owner that does not exist",
    code: 64,
    flags: ["--owner", "no-such-user"],
    words: 'there is no user "no-such-user" on this host',
  },
  {
    name: "a group that does not exist",
    code: 64,
    flags: ["--group", "no-such-group"],
    words: 'there is no group "no-such-group" on this host',
  },
  {
    name: "an owner with a line feed",
    code: 64,
    flags: ["--owner", "root:x"],
    words: 'there is no user "root:x" on this host',
  },
  {
    name: "an owner whose number is out of range",
    code: 64,
    flags: ["--owner", "4294967295"],
    words: 'there is no user "4294967295" on this host',
  },
];

function linkOfOtherUser(path: string, target: string): void {
  symlinkSync(target, path);
  give(path);
}

function linkInFolder(folder: string, open: () => void): void {
  mkdirSync(folder);
  symlinkSync("../ssl", join(folder, "link"));
  open();
}

/** Makes `ssl`, and `other` with files that must not be touched. */
function hostFolder() {
  const folder = temporaryFolder();
  mkdirSync(join(folder.path, "ssl"));
  mkdirSync(join(folder.path, "other"));
  for (const name of ["key.pem", "etcd-key.pem"])
    writeFileSync(join(folder.path, "other", name), "a victim's\n");
  return folder;
}

describe("a destination is refused with one sentence, without a request or a change:", () => {
  test.each(refused.map((it) => [it.name, it] as const))("%s", async (_, { code, words, ...it }) => {
    using folder = hostFolder();
    it.prepare?.(folder.path);
    const before = treeOf(folder.path);
    const result = await issue(
      join(folder.path, "/").concat(it.destination ?? "ssl/etcd"),
      ...(it.flags ?? []),
    );
    expect(result.stderr).toContain(words);
    expect(result).toMatchObject({ code, stdout: "" });
    expect(isOneSentence(result)).toBe(true);
    expect(stage.relay.passed).toEqual([]);
    expect(treeOf(folder.path)).toEqual(before);
  });

  test("a name that is not UTF-8", async () => {
    using folder = hostFolder();
    const before = treeOf(folder.path);
    const command = 'exec "$0" "$1" etcd-1 "$2/ssl/$(printf "a\\377b")"';
    const words = ["sh", "-c", command, await scriptPath("issue-cert"), signPath, folder.path];
    const result = await runCommand(words, { env: stage.admin });
    expect(result.stderr).toContain("is not UTF-8");
    expect(result.code).toBe(64);
    expect(stage.relay.passed).toEqual([]);
    expect(treeOf(folder.path)).toEqual(before);
  });

  test("links in a circle", async () => {
    using folder = hostFolder();
    for (const [path, target] of ["ab", "ba"]) symlinkSync(target ?? "", join(folder.path, path ?? ""));
    const result = await issue(join(folder.path, "a/etcd"));
    expect(result.stderr).toContain("/a has too many links in it");
    expect(result).toMatchObject({ code: 73, stdout: "" });
    expect(stage.relay.passed).toEqual([]);
  });

  test.each([
    ["a folder that the user may not write", (folder: string) => join(folder, "ssl/etcd"), "/ssl"],
    ["/dev/null", () => "/dev/null", "/dev"],
  ])("%s", async (_, destination, path) => {
    using folder = hostFolder();
    chmodSync(folder.path, 0o755);
    const before = treeOf(folder.path);
    const result = await runAsOtherUser(
      "issue-cert",
      [signPath, "etcd-1", destination(folder.path)],
      stage.admin,
    );
    expect(result.stderr).toContain(`${path}: permission denied (EACCES)`);
    expect(result).toMatchObject({ code: 73, stdout: "" });
    expect(stage.relay.passed).toEqual([]);
    expect(treeOf(folder.path)).toEqual(before);
    expect(readdirSync("/dev").filter((name) => name.includes("null"))).toEqual(["null"]);
  });
});

describe("a destination is accepted:", () => {
  test.each([
    ["one with spaces and quotes", `ssl/it's "et cd"`, () => {}],
    ["one in another script", "ssl/证书", () => {}],
    ["one with .. inside", "other/../ssl/etcd", () => {}],
    ["one that is a folder, with its files beside it", "ssl", () => {}],
    ["one behind root's own link", "link/etcd", (folder: string) => symlinkSync("ssl", join(folder, "link"))],
    [
      "one behind root's link in a folder with the sticky bit",
      "home/link/etcd",
      (folder: string) => linkInFolder(join(folder, "home"), () => chmodSync(join(folder, "home"), 0o1777)),
    ],
    ["one in another user's folder", "ssl/etcd", (folder: string) => give(join(folder, "ssl"))],
  ] as const)("%s", async (_, destination, prepare) => {
    using folder = hostFolder();
    prepare(folder.path);
    const others = treeOf(join(folder.path, "other"));
    const path = join(folder.path, destination);
    const { code, stderr } = await issue(`${folder.path}/${destination}`);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const suffix of suffixes) expect(readFileSync(path + suffix, "utf8")).toStartWith("-----BEGIN ");
    expect(treeOf(join(folder.path, "other"))).toEqual(others);
  });
});

test("the longest accepted name and path work", async () => {
  using folder = hostFolder();
  const room = 492 - folder.path.length - "/etcd".length;
  const paths = [`/${long(229)}`, `${`/${long(200)}`.repeat(2)}/${long(room - 403)}/etcd`];
  expect(folder.path.length + (paths[1]?.length ?? 0)).toBe(492);
  for (const path of paths) expect(await issue(folder.path + path)).toMatchObject({ code: 0, stderr: "" });
});

test("a folder of another user gets a key that this user can't read", async () => {
  using folder = hostFolder();
  give(join(folder.path, "ssl"));
  await issue(join(folder.path, "ssl/etcd"));
  const [version = ""] = readdirSync(join(folder.path, "ssl/.etcd.set")).filter((name) => /^\d/.test(name));
  const key = join(folder.path, "ssl/.etcd.set", version, "key.pem");
  expect([lstatSync(key).uid, modeOf(key)]).toEqual([0, "600"]);
});
