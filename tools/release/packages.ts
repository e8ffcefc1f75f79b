import { createHash } from "node:crypto";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { wrap } from "../../lib/cli/wrap.ts";
import { description, version } from "../../package.json";
import { ROOT } from "../main.ts";
import type { Origin } from "./origin.ts";
import { runCommand } from "./run.ts";
import { shippedPackages, type Target } from "./target.ts";
import { foldersOf, type Tree, text, writeTree } from "./tree.ts";

const summary = "Certificates for Kubernetes hosts from HashiCorp Vault or OpenBao";
const about = [
  ...wrap(`${description}.`, 78),
  "",
  ...wrap("No timer is enabled by installing it: see /usr/share/doc/vault-helper/docs/install.md.", 78),
];
/** dpkg needs the field, but accepts one without an address. */
const noMaintainer = "not named";

export interface Package {
  readonly target: Target;
  readonly tree: Tree;
  /** An empty folder to build it in. */
  readonly work: string;
  readonly output: string;
  readonly epochSeconds: number;
  readonly origin: Pick<Origin, "maintainer" | "repository">;
}

/** A part of a maintainer script, which root runs in dash or bash. */
function part(name: string): string {
  return readFileSync(join(ROOT, "tools/packages", `${name}.sh`), "utf8");
}

/**
 * Makes a Debian package.
 *
 * @see https://www.debian.org/doc/debian-policy/ch-maintainerscripts.html
 */
export async function makeDeb({ target, tree, work, output, epochSeconds, origin }: Package): Promise<void> {
  const copyright = text(readFileSync(join(ROOT, "tools/packages/copyright"), "utf8"));
  const files = new Map([...tree, ["usr/share/doc/vault-helper/copyright", copyright] as const]);
  await writeTree(files, work, epochSeconds);
  const script = (content: string) =>
    ({ kind: "file", mode: 0o755, content: `#!/bin/sh\nset -e\n${content}` }) as const;
  await writeTree(
    new Map([
      ["DEBIAN/control", text(control(target, sizeOf(files, work), origin))],
      ["DEBIAN/md5sums", text(md5sums(files, work))],
      ["DEBIAN/preinst", script(`[ "$1" = upgrade ] || exit 0\n${part("units")}${part("halt")}`)],
      [
        "DEBIAN/postinst",
        script(
          `case "$1" in configure | abort-upgrade) ;; *) exit 0 ;; esac\n${part("reload")}${part("units")}${part("resume")}`,
        ),
      ],
      ["DEBIAN/prerm", script(`[ "$1" = remove ] || exit 0\n${part("units")}${part("stop")}`)],
      ["DEBIAN/postrm", script(`[ "$1" = remove ] || exit 0\n${part("clear")}${part("reload")}`)],
    ]),
    work,
    epochSeconds,
  );
  // dpkg reads zstd since Debian 12 and Ubuntu 18.04. One thread only, because more would give different bytes.
  const options = ["--root-owner-group", "-Zzstd", "-z9", "--threads-max=1"];
  await runCommand(["dpkg-deb", ...options, "--build", work, output], {
    env: { SOURCE_DATE_EPOCH: String(epochSeconds) },
  });
}

function control(target: Target, sizeBytes: number, { maintainer, repository }: Package["origin"]): string {
  return `Package: vault-helper
Version: ${version}
Architecture: ${target.deb}
Maintainer: ${maintainer ?? noMaintainer}
Installed-Size: ${Math.ceil(sizeBytes / 1024)}
Depends: libc6 (>= 2.17)
Section: admin
Priority: optional
${repository === undefined ? "" : `Homepage: ${repository}\n`}Description: ${summary}
${about.map((line) => ` ${line === "" ? "." : line}\n`).join("")}`;
}

/** The total size of a tree's files; links don't count. */
function sizeOf(tree: Tree, folder: string): number {
  const own = [...tree].filter(([, { kind }]) => kind === "file" || kind === "copy");
  return own.reduce((sum, [path]) => sum + statSync(join(folder, path)).size, 0);
}

function md5sums(tree: Tree, folder: string): string {
  const sums = new Map<number, string>();
  return [...tree]
    .filter(([, { kind }]) => kind !== "symlink" && kind !== "folder")
    .map(([path]) => {
      const { ino } = statSync(join(folder, path));
      const sum =
        sums.get(ino) ??
        createHash("md5")
          .update(readFileSync(join(folder, path)))
          .digest("hex");
      sums.set(ino, sum);
      return `${sum}  ${path}\n`;
    })
    .sort((a, b) => (a.slice(34) < b.slice(34) ? -1 : 1))
    .join("");
}

/** Makes a package for distributions with rpm. */
export async function makeRpm({ target, tree, work, output, epochSeconds, origin }: Package): Promise<void> {
  const [files, top] = [join(work, "files"), join(work, "top")];
  await writeTree(new Map([["files", { kind: "folder", mode: 0o755 }]]), work, epochSeconds);
  await writeTree(tree, files, epochSeconds);
  const name = `vault-helper-${version}-1.${target.rpm}.rpm`;
  writeFileSync(join(work, "vault-helper.spec"), spec(tree, files, origin));
  const macros = {
    _topdir: top,
    _tmppath: join(work, "tmp"),
    _dbpath: join(work, "db"),
    _rpmdir: work,
    _rpmfilename: name,
    _buildhost: "localhost",
    // The newest file and the package itself are as old as the release.
    use_source_date_epoch_as_buildtime: "1",
    clamp_mtime_to_source_date_epoch: "1",
    // A Bun executable carries our code after its own end. Stripping it would remove that.
    __os_install_post: "%{nil}",
    debug_package: "%{nil}",
    _build_id_links: "none",
    // Every rpm since 4.14 reads zstd.
    _binary_payload: "w9.zstdio",
    _source_filedigest_algorithm: "8",
    _binary_filedigest_algorithm: "8",
  };
  const defined = Object.entries(macros).flatMap(([macro, value]) => ["--define", `${macro} ${value}`]);
  await runCommand(
    [
      "rpmbuild",
      "-bb",
      "--quiet",
      `--target=${target.rpm}-linux`,
      ...defined,
      join(work, "vault-helper.spec"),
    ],
    // Not the builder's own macros.
    { cwd: work, env: { HOME: work, SOURCE_DATE_EPOCH: String(epochSeconds) } },
  );
  await runCommand(["mv", join(work, name), output]);
}

function spec(tree: Tree, files: string, { maintainer, repository }: Package["origin"]): string {
  const packager = maintainer === undefined ? "" : `Packager: ${maintainer}\n`;
  const url = repository === undefined ? "" : `URL: ${repository}\n`;
  return `Name: vault-helper
Version: ${version}
Release: 1
Summary: ${summary}
License: ${licenses().join(" AND ")}
${packager}${url}Requires: glibc >= 2.17
AutoReqProv: no

%description
${about.join("\n")}

%install
cp -a ${files}/. %{buildroot}/

%pre
[ "$1" -gt 1 ] || exit 0
${part("units")}${part("halt")}
%post
${part("reload")}${part("units")}${part("resume")}
%preun
[ "$1" = 0 ] || exit 0
${part("units")}${part("stop")}
%postun
${part("reload")}[ "$1" = 0 ] || exit 0
${part("clear")}
%files
%defattr(-,root,root,-)
${rpmFiles(tree).join("\n")}
`;
}

/** The SPDX names of all licences: our own, the runtime's and each package's. */
function licenses(): string[] {
  const packages = shippedPackages().flatMap(([, { license }]) => license ?? []);
  return [...new Set(["Apache-2.0", "MIT", "LGPL-2.1-or-later", ...packages])];
}

/** The spec's list of files. It has only our own folders, because the others belong to the system. */
function rpmFiles(tree: Tree): string[] {
  const own = (path: string) => path.startsWith("etc/vault") || path.includes("/vault-helper");
  const folders = [...foldersOf(tree).keys()].filter(own).map((path) => `%dir "/${path}"`);
  const files = [...tree].filter(([, { kind }]) => kind !== "folder").map(([path]) => `"/${path}"`);
  return [...folders, ...files.sort()];
}
