import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { Failure } from "../../lib/failure.ts";
import { compile } from "../build.ts";
import { ROOT } from "../main.ts";
import { runCommand } from "./run.ts";

/** A kind of machine, with its name in each packaging system. */
export interface Target {
  readonly name: "linux-x64" | "linux-arm64";
  readonly deb: "amd64" | "arm64";
  readonly rpm: "x86_64" | "aarch64";
  /** The npm package with Bun for it. For x64 this is the build without AVX, for every x86-64 CPU since 2008. */
  readonly runtime: string;
}

/**
 * All targets have glibc. A target with musl would need a libstdc++ for musl, which only distributions with musl have,
 * and no Kubernetes host that boots with systemd uses musl.
 */
export const targets: readonly Target[] = [
  { name: "linux-x64", deb: "amd64", rpm: "x86_64", runtime: "@oven/bun-linux-x64" },
  { name: "linux-arm64", deb: "arm64", rpm: "aarch64", runtime: "@oven/bun-linux-aarch64" },
];

/** Compiles the tool for a target. @returns the executable's path, in the folder */
export async function compileFor(target: Target, folder: string): Promise<string> {
  const output = join(folder, "vault-helper");
  const runtime = await runtimeOf(target);
  await compile("vault-helper", output, [
    `--target=bun-${target.name}`,
    // Without this, Bun would download a runtime and check no checksum.
    `--compile-executable-path=${runtime}`,
  ]);
  return output;
}

/**
 * The Bun runtime for a target, with the version and checksum from package-lock.json. It is cached for the next release.
 *
 * @throws Failure (data) if npm delivers another checksum
 */
export async function runtimeOf({ runtime }: Target): Promise<string> {
  const { version, integrity } = locked(runtime);
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "vault-helper");
  const key = createHash("sha256").update(integrity).digest("hex").slice(0, 16);
  const path = join(cache, `${runtime.replace(/.*\//, "")}-${version}-${key}`);
  if (existsSync(path)) return path;
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, ".runtime-"));
  try {
    console.log(`${runtime} ${version} is downloaded, once for this machine`);
    // npm uses the builder's settings and cache.
    await runCommand(
      ["npm", "pack", "--silent", "--ignore-scripts", `--pack-destination=${work}`, `${runtime}@${version}`],
      { cwd: work, env: process.env },
    );
    const [archive = ""] = [...new Bun.Glob("*.tgz").scanSync(work)];
    const found = createHash("sha512")
      .update(readFileSync(join(work, archive)))
      .digest("base64");
    if (integrity !== `sha512-${found}`) {
      throw new Failure("data", `${runtime} ${version} is not the one in package-lock.json`);
    }
    await runCommand(["tar", "-xzf", join(work, archive), "-C", work, "package/bin/bun"]);
    renameSync(join(work, "package/bin/bun"), path);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return path;
}

interface Locked {
  readonly version: string;
  /** `sha512-` followed by base64. */
  readonly integrity: string;
  readonly dev?: boolean;
  readonly license?: string;
}

/** The entry of a package in package-lock.json. */
export function locked(name: string): Locked {
  const found = lockedPackages().find(([path]) => path === `node_modules/${name}`)?.[1];
  if (found === undefined) throw new Failure("internal", `package-lock.json has no ${name}`);
  return found;
}

/** The packages that are compiled in, by folder. */
export function shippedPackages(): ReadonlyArray<readonly [path: string, Locked]> {
  return lockedPackages().filter(([path, { dev }]) => path !== "" && dev !== true);
}

function lockedPackages(): ReadonlyArray<readonly [path: string, Locked]> {
  const { packages }: { packages: Record<string, Locked> } = JSON.parse(
    readFileSync(join(ROOT, "package-lock.json"), "utf8"),
  );
  return Object.entries(packages);
}
