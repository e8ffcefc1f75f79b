import { existsSync, readFileSync } from "node:fs";
import { Failure } from "../failure.ts";
import type { Ownership } from "./durable.ts";

/**
 * Resolves an owner and a group, given as names or numbers. If only one is given, the other is the running user's.
 *
 * @returns undefined when neither is given
 * @throws Failure (usage) for a name that this host doesn't know
 */
export function resolveOwnership(
  owner: string | undefined,
  group: string | undefined,
): Ownership | undefined {
  if (owner === undefined && group === undefined) return undefined;
  return {
    uid: owner === undefined ? (process.getuid?.() ?? 0) : resolve("passwd", "user", owner),
    gid: group === undefined ? (process.getgid?.() ?? 0) : resolve("group", "group", group),
  };
}

function resolve(database: "passwd" | "group", kind: string, name: string): number {
  if (/^\d{1,10}$/.test(name) && Number(name) < 0xffffffff) return Number(name);
  // Local names are found without starting a program. getent also asks directory services such as LDAP.
  const file = `/etc/${database}`;
  const number =
    find(existsSync(file) ? readFileSync(file, "utf8") : "", name) ?? find(getent(database, name), name);
  if (number !== undefined) return number;
  throw new Failure("usage", `there is no ${kind} ${JSON.stringify(name)} on this host`, {
    hint: `add the ${kind} first, or give another one by name or number`,
  });
}

function find(lines: string, name: string): number | undefined {
  const entries = lines.split("\n").map((line) => line.split(":"));
  const number = entries.find(([first]) => first === name)?.[2];
  return number !== undefined && /^\d+$/.test(number) ? Number(number) : undefined;
}

/** A directory service that did not answer once is not asked again, since each query could take as long. */
let isSilent = false;

function getent(database: string, name: string): string {
  // A name that starts with - would be read as an option.
  if (isSilent || !/^[A-Za-z0-9_][A-Za-z0-9_.@\\-]*\$?$/.test(name)) return "";
  try {
    // Not with node:child_process, which takes longer to load than everything else in a daily run.
    const { stdout, success, exitedDueToTimeout } = Bun.spawnSync(["getent", database, name], {
      stdin: "ignore",
      stderr: "ignore",
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
      timeout: 5000,
      // It may ignore any other signal.
      killSignal: "SIGKILL",
    });
    isSilent = exitedDueToTimeout === true;
    return success ? stdout.toString() : "";
  } catch {
    return "";
  }
}
