import { readFileSync } from "node:fs";
import { Failure } from "../failure.ts";
import { errorCode, printable } from "../host/file-error.ts";

/**
 * Which unit of ours a process belongs to, by its control groups: the manager gives each unit one of its name.
 *
 * @param groups as in `/proc/self/cgroup`
 * @returns undefined for one of no such unit
 * @see https://man7.org/linux/man-pages/man7/cgroups.7.html
 */
export function unitOf(groups: string): string | undefined {
  return /\/(cert(?:-hooks)?(?:@[^/\n]+)?\.service)$/m.exec(groups)?.[1];
}

/** Says what to do where a folder is out of the sandbox of the unit that this run belongs to. */
export function withUnitHint(failure: Failure, folder: string, groups = ownGroups()): Failure {
  const unit = unitOf(groups);
  const isOut = ["EROFS", "ENOENT"].includes(errorCode(failure.cause)) && failure.message.includes(folder);
  if (unit === undefined || !isOut) return failure;
  const both = `${unit.replace("cert-hooks", "cert")} and ${unit.replace(/^cert(?!-)/, "cert-hooks")}`;
  const dropIn = `the drop-in destination.conf (see the examples) with BindPaths=${printable(folder)}`;
  return new Failure(failure.kind, failure.message, {
    cause: failure.cause,
    hint: `the sandbox of ${unit} leaves ${printable(folder)} out: give ${both} ${dropIn}, as vault-helper status shows`,
  });
}

function ownGroups(): string {
  try {
    return readFileSync("/proc/self/cgroup", "utf8");
  } catch {
    return "";
  }
}
