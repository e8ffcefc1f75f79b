import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { dependencies, devDependencies, version } from "../../package.json";
import { linkNames, packagedLinkNames } from "../../tools/build.ts";
import { ROOT } from "../../tools/main.ts";
import { runtimeOf, targets } from "../../tools/release/target.ts";
import { allSchemas } from "../../tools/schema.ts";
import { temporaryFolder } from "../support/folder.ts";
import { links } from "../support/markdown.ts";
import { copyClone, filesOf, output, setTimes, unpack } from "./released.ts";

const work = temporaryFolder();
const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
const minute = 60_000;
const packaged = ["vault-helper", ...packagedLinkNames()];
const artefacts = {
  "linux-x64": [`linux-x64.tar.gz`, `_${version}_amd64.deb`, `-1.x86_64.rpm`],
  "linux-arm64": [`linux-arm64.tar.gz`, `_${version}_arm64.deb`, `-1.aarch64.rpm`],
} as const;

/** Runs `npm run release` in a copy of the clone, for a builder with an unusual environment. */
async function release(name: string, habits: { umask: string; step: number; env: object }): Promise<string> {
  const clone = join(work.path, name);
  copyClone(clone);
  setTimes(clone, habits.step);
  const home = join(work.path, `home-of-${name}`);
  mkdirSync(home);
  await output(["sh", "-c", `umask ${habits.umask}; exec npm run --silent release`], {
    cwd: clone,
    env: { HOME: home, XDG_CACHE_HOME: cache, ...habits.env },
  });
  return join(clone, "dist/release");
}

let first = "";
let second = "";
const origin = {
  RELEASE_MAINTAINER: "Jane Doe <jane@example.com>",
  RELEASE_REPOSITORY: "https://git.example.com/team/vault-helper",
};
const key = join(work.path, "key");

beforeAll(async () => {
  // With this user's own npm settings.
  for (const target of targets) await runtimeOf(target);
  first = await release("clone", { umask: "022", step: 1, env: { ...origin, TZ: "UTC" } });
  await output(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key]);
  const habits = { TZ: "Pacific/Auckland", LANG: "de_DE.UTF-8", USER: "somebody" };
  const env = { ...origin, ...habits, RELEASE_SIGNING_KEY: key };
  second = await release("a-clone-of-another-builder", { umask: "077", step: -1, env });
  for (const name of readdirSync(first)) {
    if (/\.(deb|rpm|gz)$/.test(name)) await unpack(join(first, name), folderOf(name));
  }
}, 10 * minute);
afterAll(() => work[Symbol.dispose]());

/** The folder that an artefact is unpacked to. */
function folderOf(name: string): string {
  return join(work.path, name);
}

/** The unpacked folder of the artefact whose name has that ending. */
function unpacked(end: string): string {
  const name = readdirSync(first).find((it) => it.endsWith(end));
  if (name === undefined) throw new Error(`there is no artefact …${end}`);
  return folderOf(name);
}

describe("npm run release", () => {
  test("makes archives and packages for both CPU types, and their checksums", async () => {
    expect(readdirSync(first).sort()).toEqual([
      "SHA256SUMS",
      `vault-helper-${version}-1.aarch64.rpm`,
      `vault-helper-${version}-1.x86_64.rpm`,
      `vault-helper-${version}-linux-arm64.tar.gz`,
      `vault-helper-${version}-linux-x64.tar.gz`,
      `vault-helper-${version}.cdx.json`,
      `vault-helper_${version}_amd64.deb`,
      `vault-helper_${version}_arm64.deb`,
    ]);
    const told = await output(["sha256sum", "--check", "SHA256SUMS"], { cwd: first });
    expect(told.trim().split("\n")).toHaveLength(7);
    const rpms = readdirSync(first).filter((name) => name.endsWith(".rpm"));
    expect(await output(["rpm", "--checksig", ...rpms], { cwd: first })).toBe(
      rpms.map((name) => `${name}: digests OK\n`).join(""),
    );
  });

  test("gives the same bytes in another folder, home and time zone, with another umask and other file times", () => {
    const sums = (folder: string) => readFileSync(join(folder, "SHA256SUMS"), "utf8");
    expect(sums(second)).toBe(sums(first));
  });

  test("signs the checksums with the key that the environment names", async () => {
    expect(existsSync(join(first, "SHA256SUMS.sig"))).toBe(false);
    const signers = join(work.path, "allowed_signers");
    writeFileSync(signers, `jane@example.com ${readFileSync(`${key}.pub`, "utf8")}`);
    const check = `ssh-keygen -Y verify -f '${signers}' -I jane@example.com -n file -s SHA256SUMS.sig <SHA256SUMS`;
    expect(await output(["sh", "-c", check], { cwd: second })).toContain("Good");
  });

  test("names its maintainer and its repository in each package", async () => {
    for (const name of readdirSync(first)) {
      const path = join(first, name);
      const told = name.endsWith(".deb")
        ? await output(["dpkg-deb", "--field", path, "Maintainer", "Homepage"])
        : name.endsWith(".rpm") && (await output(["rpm", "-qpi", path]));
      if (told === false) continue;
      for (const value of Object.values(origin)) expect(told).toContain(value);
    }
  });

  test("leaves nothing else behind", () => {
    expect(readdirSync(join(first, "..")).sort()).toEqual(["release"]);
  });

  test("contains no path of the builder's machine", () => {
    const paths = [work.path, ROOT, cache];
    const told: string[] = [];
    for (const end of Object.values(artefacts).flat()) {
      const seen = new Set<number>();
      for (const path of filesOf(unpacked(end)).keys()) {
        const { ino, size } = statSync(join(unpacked(end), path));
        if (seen.has(ino)) continue;
        seen.add(ino);
        const content = readFileSync(join(unpacked(end), path));
        expect(content.length).toBe(size);
        told.push(...paths.filter((it) => content.includes(it)).map((it) => `${path} of ${end} says ${it}`));
      }
    }
    expect(told).toEqual([]);
  });
});

describe.each(Object.entries(artefacts))("%s", (target, [archive, deb, rpm]) => {
  test("has an executable for its CPU type, with glibc", () => {
    const elf = readFileSync(join(unpacked(archive), "bin/vault-helper"));
    expect(elf.subarray(0, 4).toString("latin1")).toBe("\x7fELF");
    expect(elf.readUInt16LE(18)).toBe(target === "linux-x64" ? 62 : 183);
    const loader = target === "linux-x64" ? "/lib64/ld-linux-x86-64.so.2" : "/lib/ld-linux-aarch64.so.1";
    expect(elf.subarray(0, 4096).includes(loader)).toBe(true);
  });

  test.each([
    ["archive", archive, "bin", ["vault-helper", ...linkNames()]],
    ["deb", deb, "usr/bin", packaged],
    ["rpm", rpm, "usr/bin", packaged],
  ])("has the executable once in its %s, with all its names", (_what, end, bin, names) => {
    const folder = join(unpacked(end), bin);
    expect(readdirSync(folder).sort()).toEqual([...names].sort());
    expect(new Set(names.map((name) => statSync(join(folder, name)).ino)).size).toBe(1);
    expect(statSync(join(folder, "vault-helper")).mode & 0o7777).toBe(0o755);
  });

  test("has the same files in its deb and its rpm, with the archive's executable", () => {
    const alike = (end: string) =>
      [...filesOf(unpacked(end))]
        .filter(([path]) => !path.endsWith("/copyright"))
        .map(([path, what]) => [path.replace(/zsh\/[^/]+/, "zsh"), what]);
    expect(alike(rpm)).toEqual(alike(deb));
    const bin = filesOf(join(unpacked(archive), "bin"));
    const own = new Map([...bin].filter(([name]) => packaged.includes(name)));
    expect(filesOf(join(unpacked(deb), "usr/bin"))).toEqual(own);
  });

  test("has no general name in its deb and its rpm, and no general completion anywhere", () => {
    const general = /(^|\/)(setup|status|teardown|dev-server)(\.1(\.gz)?|\.fish)?$/;
    for (const end of [archive, deb, rpm]) {
      const found = [...filesOf(unpacked(end)).keys()].filter((path) => general.test(path));
      expect(found.sort()).toEqual(end === archive ? ["bin/dev-server", "bin/status", "bin/teardown"] : []);
    }
  });

  test("has units that start the package's own executable", () => {
    const folder = join(unpacked(deb), "usr/lib/systemd/system");
    expect(readdirSync(folder).sort()).toEqual(
      readdirSync(join(ROOT, "units"))
        .filter((name) => name !== "examples" && /\.(service|timer|target)$/.test(name))
        .sort(),
    );
    const examples = readdirSync(join(unpacked(deb), "usr/share/doc/vault-helper/examples"));
    expect(examples).toContain("cloud-init.yaml");
    const started = readdirSync(folder).flatMap((name) =>
      [...readFileSync(join(folder, name), "utf8").matchAll(/^ExecStart=(\S+)/gm)].map(([, path]) => path),
    );
    expect(started.length).toBeGreaterThanOrEqual(5);
    const others = started.filter((path) => !existsSync(join(unpacked(deb), path ?? "")));
    expect(others.toSorted()).toEqual(["/bin/sh", "/bin/systemctl"]);
  });

  test("belongs to root, with /etc/vault for root only", async () => {
    const lists = [
      await output(["dpkg-deb", "--contents", join(first, `vault-helper${deb}`)]),
      await output(["rpm", "-qlvp", join(first, `vault-helper-${version}${rpm}`)]),
      await output(["tar", "-tzvf", join(first, `vault-helper-${version}-${archive}`)]),
    ];
    for (const list of lists) {
      const lines = list.trim().split("\n");
      expect(lines.filter((line) => !/^\S+ +(\d+ )?(root[ /]+root|0\/0) /.test(line))).toEqual([]);
    }
    for (const list of lists.slice(0, 2)) {
      expect(list).toMatch(/^drwx------ .* \.?\/etc\/vault\/?$/m);
      expect(list).toMatch(/^drwx------ .* \.?\/etc\/vault\/certs\.d\/?$/m);
    }
  });
});

describe("a release", () => {
  const archive = () => unpacked("linux-x64.tar.gz");
  const read = (path: string) => readFileSync(join(archive(), path), "utf8");

  test("has every page of the documentation where README.md links to it", () => {
    const pages = readdirSync(join(ROOT, "docs")).sort();
    expect(readdirSync(join(archive(), "docs")).sort()).toEqual(pages);
    expect(readdirSync(join(unpacked("amd64.deb"), "usr/share/doc/vault-helper/docs")).sort()).toEqual(pages);

    // Contributors have a clone.
    const ours = pages.filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`);
    const shipped = ["README.md", "CHANGELOG.md", "SECURITY.md", ...ours];
    const dead = shipped.flatMap((page) =>
      links(read(page))
        .map(({ path }) => join(page, "..", path))
        .filter((path) => !existsSync(join(archive(), path))),
    );
    expect(dead).toEqual(["CONTRIBUTING.md"]);
  });

  test("runs in the folder where it was unpacked", async () => {
    expect(await output([join(archive(), "bin/issue-cert"), "--version"])).toBe(`issue-cert ${version}\n`);
  });

  test("lists exactly what is compiled in: the shipped packages of package-lock.json, and Bun", () => {
    const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
    const locked: ReadonlyArray<readonly [string, { version: string; dev?: boolean }]> =
      Object.entries(packages);
    const wanted = locked
      .filter(([path, { dev }]) => path !== "" && (dev !== true || path === "node_modules/bun"))
      .map(([path, it]) => `${path.replace(/.*node_modules\//, "")} ${it.version}`);
    const bom = JSON.parse(read("sbom.cdx.json"));
    const listed: ReadonlyArray<{ name: string; version: string }> = bom.components;
    expect(listed.map((it) => `${it.name} ${it.version}`).sort()).toEqual(wanted.sort());
    expect(bom).toMatchObject({ bomFormat: "CycloneDX", metadata: { component: { version } } });
    const own = bom.dependencies.find(({ ref }: { ref: string }) => ref === `vault-helper@${version}`);
    const direct = Object.entries({ ...dependencies, bun: devDependencies.bun }).map((it) => it.join("@"));
    expect(own.dependsOn.toSorted()).toEqual(direct.sort());
    const refs = bom.dependencies.map(({ ref }: { ref: string }) => ref);
    expect(new Set(refs).size).toBe(listed.length + 1);
    expect(read("sbom.cdx.json")).toBe(readFileSync(join(first, `vault-helper-${version}.cdx.json`), "utf8"));
    for (const it of wanted) expect(read("THIRD-PARTY-LICENSES")).toContain(`\n${it} (`);
  });

  test("has the alerts and the dashboard, in its packages with the documentation", () => {
    const names = readdirSync(join(ROOT, "docs/monitoring")).sort();
    expect(names).toEqual(["alerts.yml", "dashboard.json"]);
    const documentation = join(unpacked("_amd64.deb"), "usr/share/doc/vault-helper");
    for (const folder of [archive(), documentation]) {
      expect(readdirSync(join(folder, "docs/monitoring")).sort()).toEqual(names);
    }
  });

  test("has a schema of each kind of file", () => {
    expect(readdirSync(join(archive(), "schemas")).sort()).toEqual([...allSchemas().keys()].sort());
    for (const name of allSchemas().keys()) expect(JSON.parse(read(`schemas/${name}`)).type).toBe("object");
  });
});

test("an invalid time is refused, and nothing is made", async () => {
  const clone = join(first, "../..");
  const before = statSync(join(first, "SHA256SUMS")).mtimeMs;
  const run = Bun.spawn(["node", "tools/run.mjs", "tools/release.ts"], {
    cwd: clone,
    env: { ...process.env, SOURCE_DATE_EPOCH: "yesterday" },
    stdout: "pipe",
    stderr: "pipe",
  });
  expect([await run.stderr.text(), await run.exited]).toEqual([
    "SOURCE_DATE_EPOCH is yesterday, which is not a time in Unix seconds\n",
    64,
  ]);
  expect(statSync(join(first, "SHA256SUMS")).mtimeMs).toBe(before);
  expect(readdirSync(join(first, ".."))).toEqual(["release"]);
});
