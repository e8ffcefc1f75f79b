import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { Failure } from "../failure.ts";
import { certificatePaths } from "../host/certificate-place.ts";
import { fileError, printable } from "../host/file-error.ts";
import { readSmallFile, requireOurs } from "../host/read-file.ts";
import { locationOf } from "../toml/parse.ts";
import { type Manifest, parseManifest } from "./manifest.ts";
import { type HostFacts, hostFacts } from "./specifiers.ts";

/** The manifests that could be read, and the failures of the others. */
export interface Loaded {
  readonly manifests: readonly Manifest[];
  readonly failures: readonly Failure[];
}

const maxBytes = 16 * 1024;
const hookRisk = "with write access, others could run commands as root";

/**
 * Reads one manifest.
 *
 * @throws Failure (config) when it is missing or wrong, or when others can write it
 */
export function loadManifest(file: string): Manifest {
  return load(file, hostFacts(), new Map());
}

/**
 * Reads each `*.toml` in a folder, sorted by name. Hidden files, and editors' backup files with other endings, are
 * skipped.
 *
 * @throws Failure (config) when the folder is missing or holds no manifest, or when others can write in it
 */
export function loadManifests(folder: string): Loaded {
  const files = listManifests(folder);
  if (files.length === 0) {
    throw new Failure("config", `${printable(folder)} holds no manifest (*.toml)`, {
      hint: "add one for each certificate that this host should have",
    });
  }
  const host = hostFacts();
  const manifests: Manifest[] = [];
  const taken = new Map<string, string>();
  const failures: Failure[] = [];
  for (const file of files) {
    try {
      manifests.push(load(file, host, taken));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      failures.push(error);
    }
  }
  return { manifests, failures };
}

/** @param taken the files of earlier manifests by identity, and the manifest that each belongs to; is added to */
function load(file: string, host: HostFacts, taken: Map<string, string>): Manifest {
  const content = readSmallFile(file, maxBytes);
  if (content === undefined) throw new Failure("config", `there is no manifest ${printable(file)}`);
  requireOurs(file, content.stats, hookRisk);
  if (content.text.includes("\ufffd")) throw new Failure("config", `${printable(file)} is not UTF-8`);
  const manifest = parseManifest(content.text, file, host);
  const folder = identityOf(dirname(manifest.destination));
  const paths = Object.values(certificatePaths(manifest.destination));
  const mine = paths.map((path) => ({ path, identity: join(folder, basename(path)) }));
  for (const { path, identity } of mine) {
    const other = taken.get(identity);
    if (other === undefined) continue;
    const location = locationOf("destination", content.text, file);
    throw new Failure("config", `${location} has ${printable(path)} in common with ${printable(other)}`, {
      hint: "give each certificate its own destination",
    });
  }
  for (const { identity } of mine) taken.set(identity, file);
  return manifest;
}

/** An identity that is the same for every path of a folder, also through links and mounts. The folder may be missing. */
function identityOf(folder: string): string {
  try {
    const { dev, ino } = statSync(folder, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    // The folder is missing or can't be examined, so use the one above it. The root always exists.
    return folder === "/" ? folder : join(identityOf(dirname(folder)), basename(folder));
  }
}

function listManifests(folder: string): string[] {
  try {
    requireOurs(folder, statSync(folder), hookRisk);
    return readdirSync(folder)
      .filter((name) => name.endsWith(".toml") && !name.startsWith("."))
      .sort()
      .map((name) => `${folder.replace(/\/+$/, "")}/${name}`);
  } catch (error) {
    throw fileError("config", "read the manifests in", folder, error);
  }
}
