import { describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadManifest, loadManifests } from "../../lib/manifest/load.ts";
import { failureOf } from "../support/failure.ts";
import { temporaryFolder } from "../support/folder.ts";
import { textOf } from "./read.ts";

/** A folder with these files in it. */
function folderOf(files: Readonly<Record<string, string>> = {}) {
  const folder = temporaryFolder();
  const path = join(folder.path, "certs.d");
  mkdirSync(path, { mode: 0o755 });
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(path, name), content, { mode: 0o644 });
  return { path, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

const at = (destination: string) => textOf({ destination: `"${destination}"` });

describe("loadManifests()", () => {
  test("returns the manifests sorted by name, without editors' backup files", () => {
    using folder = folderOf({
      "b.toml": at("/x/b"),
      "a.toml": at("/x/a"),
      "a.toml~": "broken",
      "a.toml.bak": "broken",
      ".a.toml.swp": "broken",
      ".c.toml": "broken",
      "#a.toml#": "broken",
      "a.toml.dpkg-old": "broken",
      README: "broken",
    });
    symlinkSync("nobody@example.com.1:2", join(folder.path, ".#a.toml"));
    const { manifests, failures } = loadManifests(folder.path);
    expect([manifests.map(({ name }) => name), failures]).toEqual([["a", "b"], []]);
  });

  test("reports every broken manifest, and returns the others", () => {
    using folder = folderOf({
      "a.toml": "nonsense",
      "b.toml": at("/x/b"),
      "c.toml": at("x/c"),
      "d.toml": `${at("/x/d")}nothing = 1\n`,
      "e.toml": at("/x/e"),
    });
    const { manifests, failures } = loadManifests(folder.path);
    expect(manifests.map(({ name }) => name)).toEqual(["b", "e"]);
    expect(failures.map(({ message }) => message.replace(`${folder.path}/`, ""))).toEqual([
      expect.stringContaining("a.toml:1: it is not TOML"),
      expect.stringContaining("c.toml:3: destination has to be an absolute path"),
      "d.toml:4: nothing is not a field of a manifest",
    ]);
    expect(failures.map(({ kind }) => kind)).toEqual(["config", "config", "config"]);
  });

  test.each([
    ["the same destination", "/x/a", "/x/a-key.pem"],
    ["the same, spelled differently", "/x//y/../a", "/x/a-key.pem"],
    ["a key that is another certificate's file", "/x/a-key", "/x/a-key.pem"],
    ["a certificate that is another one's CA file", "/x/a-ca", "/x/a-ca.pem"],
  ])("lets the first manifest keep its files, and refuses %s", (_, destination, shared) => {
    using folder = folderOf({ "a.toml": at("/x/a"), "b.toml": at(destination), "c.toml": at("/x/c") });
    const { manifests, failures } = loadManifests(folder.path);
    expect(manifests.map(({ name }) => name)).toEqual(["a", "c"]);
    const [a, b] = [join(folder.path, "a.toml"), join(folder.path, "b.toml")];
    expect(failures.map(({ message }) => message)).toEqual([
      `${b}:3: destination has ${shared} in common with ${a}`,
    ]);
  });

  test.each([
    ["a folder", ""],
    ["a missing folder below it", "/new/folder"],
  ])("refuses the same destination through a link to %s", (_, below) => {
    using folder = folderOf();
    const root = join(folder.path, "..");
    mkdirSync(join(root, "ssl"));
    symlinkSync("ssl", join(root, "link"));
    for (const [name, way] of Object.entries({ a: "ssl", b: "link", c: "ssl/other" })) {
      writeFileSync(join(folder.path, `${name}.toml`), at(`${root}/${way}${below}/etcd`), { mode: 0o644 });
    }
    const { manifests, failures } = loadManifests(folder.path);
    expect(manifests.map(({ name }) => name)).toEqual(["a", "c"]);
    expect(failures.map(({ message }) => message)).toEqual([
      `${folder.path}/b.toml:3: destination has ${root}/link${below}/etcd-key.pem in common with ${folder.path}/a.toml`,
    ]);
  });

  test.each([
    ["a folder", "is not a plain file"],
    ["a link", "it is a symbolic link"],
    ["a file that is too long", "is longer than 16384 bytes"],
    ["a file that is not UTF-8", "is not UTF-8"],
  ])("reports %s in place of a manifest, and returns the others", (what, words) => {
    using folder = folderOf({ "a.toml": at("/x/a"), elsewhere: at("/x/b") });
    const path = join(folder.path, "b.toml");
    if (what === "a folder") mkdirSync(path);
    else if (what === "a link") symlinkSync("elsewhere", path);
    else if (what.endsWith("long")) writeFileSync(path, `${at("/x/b")}${"# more\n".repeat(10_000)}`);
    else writeFileSync(path, Buffer.from(`${at("/x/b")}owner = "\xff"`, "latin1"));
    const { manifests, failures } = loadManifests(folder.path);
    expect(manifests.map(({ name }) => name)).toEqual(["a"]);
    expect(failures.map(({ message }) => message)).toEqual([expect.stringContaining(words)]);
  });

  test("refuses a missing folder, an empty one and a file", async () => {
    using folder = folderOf({ "a.toml.bak": at("/x/a") });
    const empty = await failureOf(() => loadManifests(folder.path));
    expect([empty.kind, empty.message]).toEqual(["config", `${folder.path} holds no manifest (*.toml)`]);
    const missing = await failureOf(() => loadManifests(join(folder.path, "none")));
    expect([missing.kind, missing.message]).toEqual([
      "config",
      `can't read the manifests in ${folder.path}/none: no such file or folder (ENOENT)`,
    ]);
    const file = await failureOf(() => loadManifests(join(folder.path, "a.toml.bak")));
    expect([file.kind, file.message]).toEqual(["config", expect.stringContaining("is not a folder")]);
  });

  test.each([[0o777], [0o775], [0o757], [0o1777]])("refuses a folder of mode %o", async (mode) => {
    using folder = folderOf({ "a.toml": at("/x/a") });
    chmodSync(folder.path, mode);
    const { kind, message, hint } = await failureOf(() => loadManifests(folder.path));
    expect([kind, message]).toEqual(["config", `${folder.path} can be written by others`]);
    expect(hint).toContain(`chmod go-w ${folder.path}`);
  });

  test.each([[0o666], [0o664], [0o646]])("reports a file of mode %o, and returns the others", (mode) => {
    using folder = folderOf({ "a.toml": at("/x/a"), "b.toml": at("/x/b") });
    chmodSync(join(folder.path, "a.toml"), mode);
    const { manifests, failures } = loadManifests(folder.path);
    expect(manifests.map(({ name }) => name)).toEqual(["b"]);
    expect(failures.map(({ message }) => message)).toEqual([
      `${folder.path}/a.toml can be written by others`,
    ]);
  });

  test("refuses another user's file and another user's folder", async () => {
    using folder = folderOf({ "a.toml": at("/x/a"), "b.toml": at("/x/b") });
    chownSync(join(folder.path, "a.toml"), 65_534, 0);
    const { manifests, failures } = loadManifests(folder.path);
    expect(manifests.map(({ name }) => name)).toEqual(["b"]);
    expect(failures.map(({ message }) => message)).toEqual([
      `${folder.path}/a.toml can be written by others`,
    ]);
    chownSync(folder.path, 65_534, 0);
    expect((await failureOf(() => loadManifests(folder.path))).message).toBe(
      `${folder.path} can be written by others`,
    );
  });
});

test("loadManifest() refuses a missing file, and one that others can write", async () => {
  using folder = folderOf({ "a.toml": at("/x/a") });
  const path = join(folder.path, "a.toml");
  expect(loadManifest(path).destination).toBe("/x/a");
  const missing = await failureOf(() => loadManifest(`${path}l`));
  expect([missing.kind, missing.message]).toEqual(["config", `there is no manifest ${path}l`]);
  chmodSync(path, 0o622);
  expect((await failureOf(() => loadManifest(path))).message).toBe(`${path} can be written by others`);
});
