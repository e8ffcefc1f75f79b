import { join } from "node:path";
import { Failure } from "../failure.ts";
import { readEnvironmentFile } from "../host/environment-file.ts";
import { isDenied } from "../host/file-error.ts";
import { refuseForeignLinks } from "../host/folder.ts";
import type { Run } from "./script.ts";
import { type Environment, variable } from "./variable.ts";

/** What a host's own commands go by, beside their environment. */
export interface ConfigFile {
  readonly path: string;
  /** Those on subjects that the environment does not speak of. */
  readonly variables: Readonly<Record<string, string>>;
  /** Why the file is not used. */
  readonly failure?: Failure;
}

/**
 * Reads `config` in a host's configuration directory, by systemd's rules for an `EnvironmentFile`: the Go tool's units
 * load it so. It gives the server's address, how to connect to it, and the host's role. It never gives a token.
 *
 * The environment goes first. A variable of the file is left out where the environment has one on the same subject, by
 * any name: `BAO_ADDR` for `VAULT_ADDR`, `VAULT_CAPATH` for `VAULT_CACERT`. Where the environment names another server,
 * the file's server name and `VAULT_SKIP_VERIFY` are left out, since they are about the file's own. Where it names a CA,
 * the file's `VAULT_SKIP_VERIFY` is left out, which would have that CA ignored.
 */
export function readConfigFile(configPath: string, env: Environment): ConfigFile {
  const path = join(configPath, "config");
  try {
    refuseForeignLinks(configPath);
    const found = readEnvironmentFile(path) ?? new Map<string, string>();
    const left = subjectsOf(env);
    if (left.has("CA")) left.add("verification");
    // The server's own variables go before these, wherever they are from.
    if (left.has("HTTPS_PROXY") || left.has("HTTP_PROXY")) left.add("proxy");
    if (left.has("address") && variable(env, "ADDR") !== variable(Object.fromEntries(found), "ADDR")) {
      for (const subject of ofOneServer) left.add(subject);
    }
    const wanted = [...found].filter(([name]) => subjectOf(name) !== undefined && !left.has(subjectOf(name)));
    return { path, variables: Object.fromEntries(wanted) };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { path, variables: {}, failure: error };
  }
}

/**
 * Adds what the configuration says to the environment of a run.
 *
 * @throws Failure where it can't be used; one that this user may not read is another's, and passed over
 */
export function useConfigFile(configPath: string, run: Run): void {
  const { path, variables, failure } = readConfigFile(configPath, run.env);
  if (failure !== undefined && !(isDenied(failure) && process.geteuid?.() !== 0)) throw failure;
  addVariables({ path, variables }, run);
}

/** Adds to the environment of a run what a configuration says. */
export function addVariables({ path, variables }: ConfigFile, { log, setVariables }: Run): void {
  const names = Object.keys(variables);
  if (names.length > 0) log.debug(`${path} gives ${names.join(", ")}`);
  setVariables(variables);
}

/** Variables of the server's own command line and the role, and what each is about: two with one subject go together. */
const subjects: Readonly<Record<string, string>> = {
  ADDR: "address",
  NAMESPACE: "namespace",
  CACERT: "CA",
  CACERT_BYTES: "CA",
  CAPATH: "CA",
  CLIENT_CERT: "client",
  CLIENT_KEY: "client",
  TLS_SERVER_NAME: "server name",
  SKIP_VERIFY: "verification",
  PROXY_ADDR: "proxy",
  HTTP_PROXY: "proxy",
  CLIENT_TIMEOUT: "time limit",
  MAX_RETRIES: "retries",
  INIT_ROLE: "role",
};

/** What is true of the file's own server alone. */
const ofOneServer = ["server name", "verification"];

/** What an environment speaks of. */
function subjectsOf(env: Environment): Set<string | undefined> {
  return new Set(Object.entries(env).map(([name, value]) => (value ? subjectOf(name) : undefined)));
}

function subjectOf(name: string): string | undefined {
  if (name === "SSL_CERT_FILE") return name;
  if (/^(HTTPS?|NO)_PROXY$/i.test(name)) return name.toUpperCase();
  const [, own = ""] = /^(?:VAULT|BAO)_(.*)$/.exec(name) ?? [];
  return Object.hasOwn(subjects, own) ? subjects[own] : undefined;
}
