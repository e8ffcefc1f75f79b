import { join, resolve } from "node:path";
import { Failure } from "../failure.ts";
import { isExecutable } from "../host/executable.ts";
import { visible } from "../visible.ts";
import { ensureProgram, type Program, pinnedVersion, programFolder } from "./build.ts";

/** The executable of a real server: OpenBao's `bao` or HashiCorp's `vault`. */
export interface ServerBinary {
  path: string;
  kind: "bao" | "vault";
  /** Set only for a server that we built ourselves. */
  version?: string;
}

export interface ResolveOptions {
  /** @default process.env */
  env?: Record<string, string | undefined>;
  /** Called with each line of progress. @default writes to standard error */
  progress?: (line: string) => void;
}

/**
 * A compiled executable does not contain this file's folder: on another host that path could belong to somebody else.
 */
const isCompiled = import.meta.dir === "";

/** The Go module that pins the server that we build. */
const MODULE = resolve(import.meta.dir, "../../test/server");
const SOURCE = "github.com/hashicorp/vault";

/**
 * Finds a server for development and tests: `BAO_BINARY` or `VAULT_BINARY`, else `bao` or `vault` on PATH, else our own
 * build in the cache folder. A missing build is made.
 *
 * @throws Failure (config) if there is no server and none can be built; (unavailable) if the build fails
 */
export async function resolveServerBinary(options: ResolveOptions = {}): Promise<ServerBinary> {
  const env = options.env ?? process.env;
  const progress = options.progress ?? ((line) => process.stderr.write(`${visible(line)}\n`));
  return named(env) ?? onPath(env) ?? (await cached(env, progress));
}

function named(env: Record<string, string | undefined>): ServerBinary | undefined {
  for (const [variable, kind] of [
    ["BAO_BINARY", "bao"],
    ["VAULT_BINARY", "vault"],
  ] as const) {
    const path = env[variable];
    if (!path) continue;
    if (!isExecutable(path)) {
      throw new Failure("config", `${variable} names ${path}, which is not an executable file`, {
        hint: `set ${variable} to the ${kind} executable, or unset it to use the one on PATH or our own build`,
      });
    }
    return { path: resolve(path), kind };
  }
  return undefined;
}

function onPath(env: Record<string, string | undefined>): ServerBinary | undefined {
  for (const kind of ["bao", "vault"] as const) {
    const path = Bun.which(kind, { PATH: env.PATH ?? "" });
    if (path) return { path, kind };
  }
  return undefined;
}

async function cached(
  env: Record<string, string | undefined>,
  progress: (line: string) => void,
): Promise<ServerBinary> {
  if (isCompiled) {
    throw new Failure("config", "there is no server to run: neither bao nor vault is on PATH", {
      hint: "install OpenBao or Vault, or set BAO_BINARY or VAULT_BINARY to its executable",
    });
  }
  const version = pinnedVersion(MODULE, SOURCE);
  const path = join(programFolder("server", MODULE, env), "vault");
  const program: Program = {
    name: "Vault",
    version,
    module: MODULE,
    source: SOURCE,
    // This tag leaves out the cloud plugins, which halves time and size.
    flags: ["-tags", "minimal", "-trimpath", "-ldflags=-s -w"],
    path,
    versionArgs: ["version"],
    versionOutput: `Vault v${version}`,
    minutes: 5,
    without: {
      sentence: "there is no server to run: neither bao nor vault is on PATH, and none was built before",
      hint: "vault (HashiCorp's download page) or bao (OpenBao's download page)",
    },
  };
  await ensureProgram(program, { env, progress });
  return { path, kind: "vault", version };
}
