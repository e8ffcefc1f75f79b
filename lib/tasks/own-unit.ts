import { readFileSync } from "node:fs";
import { type Failure, reworded } from "../failure.ts";
import { errorCode, printable } from "../host/file-error.ts";
import { hooksUnitOf, issuingUnitOf } from "./unit-names.ts";

/**
 * The unit of ours that a process belongs to. Its control group has the unit's name.
 *
 * @param groups the content of `/proc/self/cgroup`
 * @returns undefined if it does not belong to a unit of ours
 * @see https://man7.org/linux/man-pages/man7/cgroups.7.html
 */
export function unitOf(groups: string): string | undefined {
  return /\/(cert(?:-hooks)?(?:@[^/\n]+)?\.service)$/m.exec(groups)?.[1];
}

/** Adds a hint to a failure if the unit's sandbox hides the folder. */
export function withUnitHint(failure: Failure, folder: string, groups = ownGroups()): Failure {
  const unit = unitOf(groups);
  const isOut = ["EROFS", "ENOENT"].includes(errorCode(failure.cause)) && failure.message.includes(folder);
  if (unit === undefined || !isOut) return failure;
  const both = `${issuingUnitOf(unit)} and ${hooksUnitOf(unit)}`;
  const dropIn = `the drop-in destination.conf (see the examples) with BindPaths=${printable(folder)}`;
  return reworded(failure, {
    hint: `the sandbox of ${unit} does not allow ${printable(folder)}: give ${both} ${dropIn}, as vault-helper status shows`,
  });
}

function ownGroups(): string {
  try {
    return readFileSync("/proc/self/cgroup", "utf8");
  } catch {
    return "";
  }
}
