import { lstatSync, readlinkSync } from "node:fs";
import { dirname } from "node:path";
import type { Finding } from "../finding.ts";
import { printable } from "../host/file-error.ts";
import type { Manifest } from "../manifest/manifest.ts";
import { shellQuoted, shellWord } from "../words.ts";
import {
  find,
  isEnabled,
  loadState,
  runsManifest,
  serviceOf,
  showUnits,
  timerOf,
  type Unit,
} from "./host-units.ts";
import { type Look, reach, readSandbox, type Sandbox, sandboxProperties, settingsFor } from "./sandbox.ts";
import { certService, hooksUnitOf, tokenService, tokenTimer } from "./unit-names.ts";

/** A path that units need but can't access, or a folder that they can't make. */
export interface SandboxFinding extends Finding {
  readonly path: string;
  readonly units: readonly string[];
  /** The manifests that need it; none for a file that the host's configuration names. */
  readonly manifests: readonly string[];
}

/** The sandboxes' faults, as far as systemctl has answered. */
export interface SandboxCheck {
  readonly findings: readonly SandboxFinding[];
  /** Why systemctl did not answer, if it did not. */
  readonly fault?: string;
}

/** A file that the host's configuration names. */
export interface NamedFile {
  /** The variable, such as `VAULT_CACERT`. */
  readonly name: string;
  readonly path: string;
}

/** A path that a unit has to access. */
interface Need {
  readonly unit: string;
  readonly path: string;
  readonly wanted: "write" | "read";
  /** What the path is, for people, such as `certificate web`. */
  readonly what: string;
  readonly manifest: string | undefined;
}

/** The files that the manifests' units and the token's unit need. */
function needsOf(
  manifests: readonly Manifest[],
  files: readonly NamedFile[],
  units: readonly Unit[],
): readonly Need[] {
  const services = manifests.flatMap((manifest) => {
    const timer = units.find(({ id }) => id === timerOf(manifest, units));
    const service = find(units, timer === undefined ? certService : serviceOf(timer));
    return service !== undefined && runsManifest(service, manifest) ? [{ manifest, unit: service.id }] : [];
  });
  const timer = find(units, tokenTimer);
  const isTokenRun =
    timer !== undefined && isEnabled(timer) && loadState(find(units, tokenService)) === "loaded";
  const asking = new Set([...services.map(({ unit }) => unit), ...(isTokenRun ? [tokenService] : [])]);
  return [
    ...services.flatMap(({ manifest, unit }) => needsOfManifest(manifest, unit)),
    ...[...asking].flatMap((unit) =>
      files.map(({ name, path }): Need => ({ unit, path, wanted: "read", what: name, manifest: undefined })),
    ),
  ];
}

function needsOfManifest(manifest: Manifest, service: string): Need[] {
  const { name, file, destination, hooks } = manifest;
  const programs = hooks.flatMap((hook) => (hook.kind === "command" ? [hook.command[0]] : []));
  // Only our own services leave hooks to another unit.
  const hooksUnit = hooksUnitOf(service);
  const both = hooks.length === 0 || hooksUnit === service ? [service] : [service, hooksUnit];
  return both.flatMap((unit): Need[] => [
    { unit, path: dirname(destination), wanted: "write", what: `certificate ${name}`, manifest: name },
    { unit, path: file, wanted: "read", what: `manifest ${name}`, manifest: name },
    ...programs.map(
      (path): Need => ({ unit, path, wanted: "read", what: `hook of ${name}`, manifest: name }),
    ),
  ]);
}

/** Checks the sandboxes of the units that run the manifests and renew the token, so that a fault shows before a run. */
export async function checkSandboxes(
  manifests: readonly Manifest[],
  files: readonly NamedFile[],
  units: readonly Unit[],
): Promise<SandboxCheck> {
  const needs = needsOf(manifests, files, units);
  if (needs.length === 0) return { findings: [] };
  const names = [...new Set(needs.map(({ unit }) => unit))];
  const { units: shown, ...rest } = await showUnits(names, ["Id", "LoadState", ...sandboxProperties]);
  const sandboxes = new Map(
    shown.flatMap((unit) => {
      const sandbox = loadState(unit) === "loaded" ? readSandbox(unit.properties, look) : undefined;
      return sandbox === undefined ? [] : [[unit.id, sandbox] as const];
    }),
  );
  return { ...rest, findings: judgeNeeds(needs, sandboxes, look) };
}

/**
 * The needs that a sandbox does not allow.
 *
 * @param sandboxes by unit; needs of other units are ignored
 */
export function judgeNeeds(
  needs: readonly Need[],
  sandboxes: ReadonlyMap<string, Sandbox>,
  look: Look,
): readonly SandboxFinding[] {
  const unmet = needs.flatMap((need) => {
    const { unit, path, wanted } = need;
    const sandbox = sandboxes.get(unit);
    if (sandbox === undefined || (wanted === "read" && look(path) === "missing")) return [];
    const reached = reach(sandbox, path, look);
    const isMet = reached.access === "write" || reached.access === wanted;
    return isMet ? [] : [{ ...need, path: reached.path }];
  });
  return [...Map.groupBy(unmet, ({ path, wanted }) => `${wanted} ${path}`).values()].flatMap((all) => {
    const [first] = all;
    if (first === undefined) return [];
    const names = [...new Set(all.map(({ unit }) => unit))];
    const whats = [...new Set(all.map(({ what }) => what))];
    const manifests = [...new Set(all.flatMap(({ manifest }) => manifest ?? []))];
    const { path, wanted } = first;
    const isMissing = look(path) === "missing";
    const can = isMissing ? "can't make" : wanted === "write" ? "can't write to" : "can't read";
    const known = names.flatMap((name) => sandboxes.get(name) ?? []);
    const isLetIn = isMissing && known.every((one) => one.missing.includes(path));
    const make = `install -d -m 0750 ${shellWord(path)}`;
    const dropIn = dropInCommand(names, path, settingsFor(known, path, wanted));
    const text = isLetIn ? make : isMissing ? `${make}; ${dropIn}` : dropIn;
    const reason = `${names.join(" and ")} ${can} ${printable(path)} (${whats.join(", ")})`;
    const hint = isLetIn ? [] : ["a drop-in can allow it: see destination.conf in the examples"];
    return [
      {
        state: "wrong",
        reasons: [reason, ...hint],
        fix: { do: "other", text },
        path,
        units: names,
        manifests,
      },
    ];
  });
}

/** A shell command in one line that writes the same drop-in for each unit. */
function dropInCommand(units: readonly string[], path: string, settings: readonly string[]): string {
  const folders = units.map((unit) => `/etc/systemd/system/${unit}.d`);
  const name = `${path.replaceAll(/[^\w.-]+/g, "-").replace(/^-/, "")}.conf`;
  const text = ["[Service]", ...settings].map((line) => `${line}\\n`).join("");
  return [
    `mkdir -p ${folders.map(shellWord).join(" ")}`,
    `printf ${shellQuoted(text.replaceAll("%", "%%"))} | tee ${folders.map((folder) => shellWord(`${folder}/${name}`)).join(" ")}`,
    "systemctl daemon-reload",
  ].join("; ");
}

/** Examines a path of this host. */
function look(path: string): ReturnType<Look> {
  try {
    return lstatSync(path).isSymbolicLink() ? { target: readlinkSync(path) } : "there";
  } catch {
    return "missing";
  }
}
