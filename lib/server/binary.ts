import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { ExitCode, Failure } from "../failure.ts";
import { isExecutable } from "../host/executable.ts";
import { buildServer } from "./build.ts";

/** The executable of a real server: OpenBao's `bao` or HashiCorp's `vault`. */
export interface ServerBinary {
  path: string;
  kind: "bao" | "vault";
  /** Known where we built it ourselves. */
  version?: string;
}

export interface ResolveOptions {
  /** @default process.env */
  env?: Record<string, string | undefined>;
  /** Told what takes long, a line at a time. @default standard error */
  progress?: (line: string) => void;
}

/** The build takes this file's folder out of an executable: on the host that runs it, another's could be there. */
const isCompiled = import.meta.dir === "";

/** The Go module that pins the server that we build. */
const MODULE = resolve(import.meta.dir, "../../test/server");

/**
 * Finds a server to run for development and tests: the one that `BAO_BINARY` or `VAULT_BINARY` names, else
 * `bao` or `vault` on PATH, else our own build in the cache folder, which is made when it is missing.
 */
export async function resolveServerBinary(options: ResolveOptions = {}): Promise<ServerBinary> {
  const env = options.env ?? process.env;
  const progress = options.progress ?? ((line) => process.stderr.write(`${line}\n`));
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
      throw new Failure(ExitCode.config, `${variable} names ${path}, which is not an executable file`, {
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
    throw new Failure(ExitCode.config, "there is no server to run: neither bao nor vault is on PATH", {
      hint: "install OpenBao or Vault, or set BAO_BINARY or VAULT_BINARY to its executable",
    });
  }
  const version = /hashicorp\/vault v(\S+)/.exec(readFileSync(join(MODULE, "go.mod"), "utf8"))?.[1];
  if (!version) throw new Failure(ExitCode.software, `${MODULE}/go.mod names no version of the server`);

  // go.sum holds the hash of every module, so another server has another folder.
  const sum = createHash("sha256")
    .update(readFileSync(join(MODULE, "go.sum")))
    .digest("hex");
  const folder = join(cacheFolder(env), "vault-helper", `server-${sum.slice(0, 16)}`);
  const path = join(folder, "vault");
  if (!isExecutable(path)) {
    const isDone = () => isExecutable(path);
    await buildServer({ module: MODULE, folder, path, version, env, progress, isDone });
  }
  return { path, kind: "vault", version };
}

/** @see https://specifications.freedesktop.org/basedir-spec/latest/ (a relative path is to be ignored) */
function cacheFolder(env: Record<string, string | undefined>): string {
  const folder = env.XDG_CACHE_HOME;
  return folder && isAbsolute(folder) ? folder : join(env.HOME || homedir(), ".cache");
}
