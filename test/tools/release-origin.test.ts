import { describe, expect, test } from "bun:test";
import { appendFileSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../../lib/failure.ts";
import { version } from "../../package.json";
import { type Origin, releaseOrigin } from "../../tools/release/origin.ts";
import { makeDeb, makeRpm } from "../../tools/release/packages.ts";
import { sbom } from "../../tools/release/sbom.ts";
import { signFile } from "../../tools/release/sign.ts";
import { targets } from "../../tools/release/target.ts";
import { text } from "../../tools/release/tree.ts";
import { temporaryFolder } from "../support/folder.ts";
import { commandBlocks } from "../support/pasted.ts";
import { runCommand } from "../support/script.ts";
import { snippet } from "../support/snippet.ts";
import { output } from "./released.ts";

const maintainer = "Jane Doe <jane@example.com>";
const repository = "https://git.example.com/team/vault-helper";
const nobody = { maintainer: undefined, repository: undefined };

describe("releaseOrigin()", () => {
  test("reads the environment, and counts an empty variable as not set", () => {
    expect(releaseOrigin({})).toEqual({ ...nobody, signingKey: undefined });
    expect(
      releaseOrigin({ RELEASE_MAINTAINER: "", RELEASE_REPOSITORY: "", RELEASE_SIGNING_KEY: "" }),
    ).toEqual({ ...nobody, signingKey: undefined });
    expect(
      releaseOrigin({
        RELEASE_MAINTAINER: maintainer,
        RELEASE_REPOSITORY: repository,
        RELEASE_SIGNING_KEY: "a-key",
      }),
    ).toEqual({ maintainer, repository, signingKey: join(process.cwd(), "a-key") });
  });

  test.each([
    "Jane Doe",
    "<jane@example.com>",
    "Jane Doe <jane>",
    "Jane Doe <jane@example.com> and others",
    "Jane\nDoe <jane@example.com>",
    "%(id) <jane@example.com>",
  ])("refuses the maintainer %j", (RELEASE_MAINTAINER) => {
    expect(() => releaseOrigin({ RELEASE_MAINTAINER })).toThrow(Failure);
  });

  test.each([
    "git@git.example.com:team/vault-helper",
    "http://git.example.com/team/vault-helper",
    "https://user:secret@git.example.com/team",
    "https://git.example.com",
    "https://git.example.com/a b",
    "https://git.example.com/%(id)",
  ])("refuses the repository %j", (RELEASE_REPOSITORY) => {
    expect(() => releaseOrigin({ RELEASE_REPOSITORY })).toThrow(Failure);
  });
});

/** Packages with one small file, and their fields about the origin. */
async function packagesOf(origin: Pick<Origin, "maintainer" | "repository">) {
  using folder = temporaryFolder();
  const [target] = targets;
  if (target === undefined) throw new Error("there is no target");
  const paths = { deb: join(folder.path, "a.deb"), rpm: join(folder.path, "a.rpm") };
  const tree = new Map([["usr/bin/vault-helper", text("")]]);
  for (const [make, output] of [
    [makeDeb, paths.deb],
    [makeRpm, paths.rpm],
  ] as const) {
    const work = `${output}.work`;
    mkdirSync(work);
    await make({ target, tree, work, output, epochSeconds: 1e9, origin });
  }
  const [maintainerField, homepage] = await Promise.all(
    ["Maintainer", "Homepage"].map((field) => output(["dpkg-deb", "--field", paths.deb, field])),
  );
  return {
    deb: [maintainerField?.trim(), homepage?.trim()],
    rpm: (await output(["rpm", "-qp", "--qf", "%{packager}|%{url}", paths.rpm])).split("|"),
  };
}

test("packages name the maintainer and the repository of their release", async () => {
  expect(await packagesOf({ maintainer, repository })).toEqual({
    deb: [maintainer, repository],
    rpm: [maintainer, repository],
  });
});

test("packages without a maintainer name none, and no address", async () => {
  expect(await packagesOf(nobody)).toEqual({ deb: ["not named", ""], rpm: ["(none)", "(none)"] });
});

test("the SBOM names the repository", async () => {
  const own = async (origin: Pick<Origin, "repository">) =>
    JSON.parse(await sbom(1e9, origin)).metadata.component;
  expect(await own({ repository })).toMatchObject({
    version,
    externalReferences: [{ type: "vcs", url: repository }],
  });
  expect((await own(nobody)).externalReferences).toEqual([]);
});

describe("a signature", () => {
  test("is valid only for its file and its key, by the commands of SECURITY.md", async () => {
    using folder = temporaryFolder();
    const at = (name: string) => join(folder.path, name);
    for (const name of ["key", "other"]) {
      await output(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", at(name)]);
    }
    writeFileSync(at("SHA256SUMS"), "0123  a-file\n");
    await signFile(at("SHA256SUMS"), at("key"));
    const check = commandBlocks("SECURITY.md").find((block) => block.includes("ssh-keygen")) ?? "";
    const verify = async (publicKey: string) => {
      copyFileSync(publicKey, at("maintainer.pub"));
      return (await runCommand(["sh", "-ec", check], { cwd: folder.path })).code;
    };
    expect(await verify(at("key.pub"))).toBe(0);
    expect(await verify(at("other.pub"))).not.toBe(0);
    appendFileSync(at("SHA256SUMS"), "4567  another\n");
    expect(await verify(at("key.pub"))).not.toBe(0);
  });

  test("is made by the SSH agent for a public key", async () => {
    using folder = temporaryFolder();
    const at = (name: string) => join(folder.path, name);
    await output(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", at("key")]);
    writeFileSync(at("SHA256SUMS"), "0123  a-file\n");
    const [sums, key] = [at("SHA256SUMS"), at("key.pub")].map((path) => JSON.stringify(path));
    const sign = snippet("{ signFile }", "../tools/release/sign.ts", `await signFile(${sums}, ${key})`);
    const script =
      'ssh-add -q key; rm key; "$@"; ssh-keygen -Y check-novalidate -n file -s SHA256SUMS.sig <SHA256SUMS';
    const checked = await output(["ssh-agent", "sh", "-ec", script, "sh", ...sign], { cwd: folder.path });
    expect(checked).toContain("Good");
  });

  test("can't be made without the key", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "SHA256SUMS");
    writeFileSync(path, "");
    await expect(signFile(path, join(folder.path, "no-key"))).rejects.toThrow("no-key");
  });
});
