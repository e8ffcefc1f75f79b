import { readFileSync } from "node:fs";
import { join } from "node:path";
import { version } from "../../package.json";
import { linkNames, packagedLinkNames } from "../build.ts";
import { type Completions, completions } from "../completions.ts";
import { ROOT } from "../main.ts";
import { type ManPages, manPages } from "../man.ts";
import { allSchemas } from "../schema.ts";
import { thirdPartyLicenses } from "./licenses.ts";
import type { Origin } from "./origin.ts";
import { sbom } from "./sbom.ts";
import { below, type Entry, type Tree, text } from "./tree.ts";

/** What every archive and package contains besides the executable. */
export interface Contents {
  readonly sbom: string;
  readonly documents: Tree;
  /** By name, `examples/` among them. */
  readonly units: Tree;
  readonly man: ManPages;
  readonly completions: Completions;
}

/** @param epochSeconds the release's time */
export async function makeContents(
  epochSeconds: number,
  origin: Pick<Origin, "repository">,
): Promise<Contents> {
  const date = new Date(epochSeconds * 1000).toISOString().slice(0, 10);
  const bom = await sbom(epochSeconds, origin);
  return {
    sbom: bom,
    documents: new Map([
      ["README.md", text(read("README.md"))],
      ...below("docs", filesBelow("docs")),
      ["CHANGELOG.md", text(read("CHANGELOG.md"))],
      ["SECURITY.md", text(read("SECURITY.md"))],
      ["LICENSE", text(read("LICENSE"))],
      ["THIRD-PARTY-LICENSES", text(thirdPartyLicenses())],
      ["sbom.cdx.json", text(bom)],
      ...[...allSchemas()].map(
        ([name, schema]) => [`schemas/${name}`, text(`${JSON.stringify(schema, null, 2)}\n`)] as const,
      ),
    ]),
    units: filesBelow("units"),
    man: await manPages({ version, date }),
    completions: await completions(),
  };
}

function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

function filesBelow(folder: string): Tree {
  const paths = [...new Bun.Glob("**/*").scanSync(join(ROOT, folder))].sort();
  return new Map(paths.map((path) => [path, text(read(`${folder}/${path}`))]));
}

/** The executable and its links, which take no extra space. */
function executables(executable: string, links: readonly string[]): Tree {
  return new Map<string, Entry>([
    ["vault-helper", { kind: "copy", mode: 0o755, from: executable }],
    ...links.map((name) => [name, { kind: "link", to: "vault-helper" }] as const),
  ]);
}

/** The content of an archive, for hosts without dpkg or rpm. The reader decides where each file goes. */
export function archiveTree(executable: string, contents: Contents): Tree {
  const { documents, units, man, completions } = contents;
  return new Map<string, Entry>([
    ...below("bin", executables(executable, linkNames())),
    ...documents,
    ...below("units", units),
    ...[...man.pages].map(([name, page]) => [`man/man1/${name}`, text(page)] as const),
    ...[...man.links].map(([name, to]) => [`man/man1/${name}`, { kind: "symlink", to }] as const),
    ["completions/bash/vault-helper", text(completions.bash)],
    ...bashLinks("completions/bash"),
    ["completions/zsh/_vault-helper", text(completions.zsh)],
    ...[...completions.fish].map(([name, it]) => [`completions/fish/${name}.fish`, text(it)] as const),
  ]);
}

/** Paths that differ between distributions. */
export interface Places {
  readonly zsh: string;
}

/** The content of a package, by path relative to `/`. */
export function packageTree(executable: string, contents: Contents, places: Places): Tree {
  const { documents, units, man, completions } = contents;
  const documentation = "usr/share/doc/vault-helper";
  const isUnit = (path: string) => /^[^/]+\.(service|timer|target)$/.test(path);
  const examples = [...units]
    .filter(([path]) => !isUnit(path))
    .map(([path, it]) => [path.startsWith("examples/") ? path : `examples/${path}`, it] as const);
  return new Map<string, Entry>([
    ["etc/vault", { kind: "folder", mode: 0o700 }],
    ["etc/vault/certs.d", { kind: "folder", mode: 0o700 }],
    ...below("usr/bin", executables(executable, packagedLinkNames())),
    ...[...units]
      .filter(([path]) => isUnit(path))
      .map(([path, unit]) => [`usr/lib/systemd/system/${path}`, packaged(unit)] as const),
    ...below(documentation, documents),
    ...below(documentation, new Map(examples)),
    ...[...man.pages].map(([name, page]) => [`usr/share/man/man1/${name}.gz`, zipped(page)] as const),
    ...[...man.links].map(
      ([name, to]) => [`usr/share/man/man1/${name}.gz`, { kind: "symlink", to: `${to}.gz` }] as const,
    ),
    ["usr/share/bash-completion/completions/vault-helper", text(completions.bash)],
    ...bashLinks("usr/share/bash-completion/completions"),
    [`${places.zsh}/_vault-helper`, text(completions.zsh)],
    ...[...completions.fish].map(
      ([name, it]) => [`usr/share/fish/vendor_completions.d/${name}.fish`, text(it)] as const,
    ),
  ]);
}

/** Units name executables in /usr/local, for those who copy them by hand. A package's executables are in /usr/bin. */
function packaged(unit: Entry): Entry {
  if (unit.kind !== "file" || typeof unit.content !== "string") return unit;
  return text(unit.content.replaceAll("/usr/local/bin/", "/usr/bin/"));
}

/** Compressed by Bun, whose version is pinned, without a name or a time in the header. */
function zipped(page: string): Entry {
  return { kind: "file", mode: 0o644, content: Bun.gzipSync(Buffer.from(page), { level: 9 }) };
}

/** bash-completion loads a file named after the command. */
function bashLinks(folder: string): ReadonlyArray<readonly [string, Entry]> {
  return packagedLinkNames().map((name) => [`${folder}/${name}`, { kind: "symlink", to: "vault-helper" }]);
}
