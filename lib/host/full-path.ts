import { readlinkSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { Failure } from "../failure.ts";

/**
 * A path from the root, without `.` and `..`.
 *
 * @throws Failure (config) for a relative one in a working folder that was removed: the runtime would take its
 *   own executable's folder for it
 */
export function fullPath(path: string): string {
  if (!isAbsolute(path) && readlinkSync("/proc/self/cwd").endsWith(" (deleted)")) {
    throw new Failure("config", "the working folder is not there any more", {
      hint: "give paths from the root, or change into another folder",
    });
  }
  return resolve(path);
}
