import { readFileSync } from "node:fs";
import { type HostRole, hostRoles } from "../cluster/cluster.ts";
import { Failure } from "../failure.ts";
import { printable } from "../host/file-error.ts";
import { readGivenToken } from "../host/token-files.ts";

const flag = "--init-token-file";

/**
 * Reads init tokens from files, to keep them off the command line, which every user of the machine can read.
 *
 * @param text comma-separated, such as `worker=/run/init-token`; the file `-` is standard input
 * @returns each host role with the id of its init token
 * @throws Failure (usage) if it is not ROLE=FILE; (config) for a file without a token; as `readGivenToken`
 */
export function readInitTokenFiles(text: string | undefined): ReadonlyArray<readonly [HostRole, string]> {
  const words = text === undefined ? [] : text.split(",");
  const asked = words.map((word) => {
    const [, name, path] = /^([^=]*)=(.+)$/s.exec(word.trim()) ?? [];
    const role = hostRoles.find((it) => it === name);
    if (role !== undefined && path !== undefined) return { role, path };
    throw usage("has to be ROLE=FILE");
  });
  for (const { role, path } of asked) {
    if (asked.filter((it) => it.role === role).length > 1) throw usage(`is given twice for ${role}`);
    if (path === "-" && asked.filter((it) => it.path === "-").length > 1)
      throw usage("can use standard input for one host role only");
  }
  return asked.map(({ role, path }) => [role, readToken(role, path)] as const);
}

function usage(how: string): Failure {
  return new Failure("usage", `${flag} ${how}`, {
    hint: `write it as ${flag} worker=/run/init-token, or worker=- for standard input; repeat it for ${hostRoles.join(", ")}`,
  });
}

function readToken(role: HostRole, path: string): string {
  const token = path === "-" ? readFileSync(0, "utf8").trim() : (readGivenToken(path) ?? "");
  if (token !== "") return token;
  const where = path === "-" ? "standard input" : printable(path);
  throw new Failure("config", `${flag} names ${where} for ${role}, where there is no token`);
}
