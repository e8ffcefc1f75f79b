import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ExitCode } from "../lib/cli/exit-code.ts";
import { Failure } from "../lib/failure.ts";
import { version } from "../package.json";
import { ROOT, runMain } from "./main.ts";
import { archiveTree, type Contents, makeContents, packageTree } from "./release/contents.ts";
import { type Origin, releaseOrigin } from "./release/origin.ts";
import { makeDeb, makeRpm } from "./release/packages.ts";
import { runCommand } from "./release/run.ts";
import { signFile } from "./release/sign.ts";
import { compileFor, type Target, targets } from "./release/target.ts";
import { writeTree } from "./release/tree.ts";

/** The time of a release without git and without `SOURCE_DATE_EPOCH`: 2026-01-01. */
const noTime = Date.UTC(2026, 0, 1) / 1000;

const kinds = ["tar.gz", "deb", "rpm"] as const;

export interface ReleaseOptions {
  /** @default dist/release */
  readonly output?: string;
  /** @default all */
  readonly made?: readonly Target[];
  /** @default all */
  readonly kinds?: ReadonlyArray<(typeof kinds)[number]>;
}

interface Job {
  readonly work: string;
  /** The folder for the artefacts. */
  readonly folder: string;
  readonly epochSeconds: number;
  readonly origin: Origin;
  readonly contents: Contents;
  readonly kinds: readonly string[];
}

/**
 * Makes every artefact of a release in dist/release, or in a folder that is given. The same tree gives the same bytes,
 * in any folder and for any user, with the same npm, tar, dpkg and rpm.
 */
export async function makeRelease(options: ReleaseOptions = {}): Promise<string> {
  const { output = join(ROOT, "dist/release"), made = targets } = options;
  const origin = releaseOrigin(process.env);
  mkdirSync(join(output, ".."), { recursive: true });
  const work = mkdtempSync(join(output, "../.release-"));
  try {
    const folder = join(work, "release");
    mkdirSync(folder);
    const epochSeconds = await releaseTime();
    const contents = await makeContents(epochSeconds, origin);
    const job: Job = { work, folder, epochSeconds, origin, contents, kinds: options.kinds ?? kinds };
    const sbomName = `vault-helper-${version}.cdx.json`;
    writeFileSync(join(folder, sbomName), contents.sbom);
    const names = (await Promise.all(made.map((target) => makeArtefacts(target, job)))).flat();
    writeFileSync(join(folder, "SHA256SUMS"), sums(folder, [...names, sbomName]));
    if (origin.signingKey !== undefined) await signFile(join(folder, "SHA256SUMS"), origin.signingKey);
    rmSync(output, { recursive: true, force: true });
    renameSync(folder, output);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return output;
}

async function makeArtefacts(target: Target, job: Job): Promise<string[]> {
  const { contents, epochSeconds, folder, origin } = job;
  const work = join(job.work, target.name);
  mkdirSync(work);
  const executable = await compileFor(target, work);
  const archive = `vault-helper-${version}-${target.name}`;
  const makers: Readonly<Record<string, (work: string, output: string) => Promise<void>>> = {
    [`${archive}.tar.gz`]: async (work, output) => {
      await writeTree(archiveTree(executable, contents), join(work, archive), epochSeconds);
      await writeTarball(work, archive, output, epochSeconds);
    },
    [`vault-helper_${version}_${target.deb}.deb`]: async (work, output) => {
      const tree = packageTree(executable, contents, { zsh: "usr/share/zsh/vendor-completions" });
      await makeDeb({ target, tree, work, output, epochSeconds, origin });
    },
    [`vault-helper-${version}-1.${target.rpm}.rpm`]: async (work, output) => {
      const tree = packageTree(executable, contents, { zsh: "usr/share/zsh/site-functions" });
      await makeRpm({ target, tree, work, output, epochSeconds, origin });
    },
  };
  const wanted = Object.entries(makers).filter(([name]) =>
    job.kinds.some((kind) => name.endsWith(`.${kind}`)),
  );
  for (const [name, make] of wanted) {
    const started = performance.now();
    const place = mkdtempSync(join(work, "make-"));
    await make(place, join(folder, name));
    rmSync(place, { recursive: true });
    tell(join(folder, name), name, started);
  }
  return wanted.map(([name]) => name);
}

function tell(path: string, name: string, started: number): void {
  const megabytes = (Bun.file(path).size / 1e6).toFixed(1);
  console.log(`${name}  ${megabytes} MB in ${((performance.now() - started) / 1000).toFixed(1)} s`);
}

/** Sorted names, no owner, and only the release's time. The gzip header has neither name nor time. */
async function writeTarball(parent: string, name: string, output: string, epochSeconds: number) {
  const plain = ["--sort=name", "--format=ustar", "--owner=0", "--group=0", "--numeric-owner"];
  const tar = await runCommand(["tar", ...plain, `--mtime=@${epochSeconds}`, "-C", parent, "-cf", "-", name]);
  writeFileSync(output, Bun.gzipSync(tar, { level: 9, library: "libdeflate" }));
}

function sums(folder: string, names: readonly string[]): string {
  return [...names]
    .sort()
    .map((name) => {
      const sum = createHash("sha256").update(readFileSync(join(folder, name)));
      return `${sum.digest("hex")}  ${name}\n`;
    })
    .join("");
}

/**
 * The release's time in Unix seconds: `SOURCE_DATE_EPOCH`, else the commit's time.
 *
 * @see https://reproducible-builds.org/specs/source-date-epoch/
 * @throws Failure (usage) if `SOURCE_DATE_EPOCH` is not a number
 */
export async function releaseTime(clone = ROOT): Promise<number> {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined && given !== "") {
    if (/^\d{1,10}$/.test(given)) return Number(given);
    throw new Failure("usage", `SOURCE_DATE_EPOCH is ${given}, which is not a time in Unix seconds`);
  }
  if (!existsSync(join(clone, ".git"))) return noTime;
  // The clone may belong to another user, for example when it is mounted into a container. That is no risk: its code runs
  // here anyway.
  const git = ["git", "-c", "safe.directory=*", "-c", "log.showSignature=false", "-C", clone];
  const time = await runCommand([...git, "log", "-1", "--format=%ct"]);
  return Number(new TextDecoder().decode(time));
}

if (import.meta.main) {
  await runMain(async () => {
    await makeRelease();
    if (releaseOrigin(process.env).maintainer === undefined) {
      console.error("RELEASE_MAINTAINER is not set: the packages name no maintainer");
    }
    return ExitCode.ok;
  });
}
