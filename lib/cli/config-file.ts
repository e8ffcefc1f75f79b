import { join } from "node:path";
import { Failure } from "../failure.ts";
import { readEnvironmentFile } from "../host/environment-file.ts";
import { isDenied } from "../host/file-error.ts";
import { refuseForeignLinks } from "../host/folder.ts";
import type { Run } from "./script.ts";
import { type Environment, variable } from "./variable.ts";

/** The configuration of a host's own commands, used together with the environment. */
export interface ConfigFile {
  readonly path: string;
  /** The file's variables, without those whose subject is in the environment. */
  readonly variables: Readonly<Record<string, string>>;
  /** Why the file can't be used. */
  readonly failure?: Failure;
}

/**
 * Reads `config` in a host's configuration folder. It is read by systemd's rules for an `EnvironmentFile`, because the
 * Go tool's units load it that way. It holds the server's address, how to connect to it, and the host's role, but never
 * a token.
 *
 * The environment goes first. A variable in the file is ignored if the environment has one on the same subject, under
 * any name: `BAO_ADDR` for `VAULT_ADDR`, `VAULT_CAPATH` for `VAULT_CACERT`. If the environment names another server, the
 * file's server name and `VAULT_SKIP_VERIFY` are ignored, because they are about the file's own server. If the
 * environment names a CA, the file's `VAULT_SKIP_VERIFY` is ignored, because it would turn that CA off.
 */
export function readConfigFile(configPath: string, env: Environment): ConfigFile {
  const path = join(configPath, "config");
  try {
    refuseForeignLinks(configPath);
    const found = readEnvironmentFile(path) ?? new Map<string, string>();
    const ignored = subjectsOf(env);
    if (ignored.has("CA")) ignored.add("verification");
    // Otherwise the file's VAULT_PROXY_ADDR would override the environment's HTTPS_PROXY.
    if (ignored.has("HTTPS_PROXY") || ignored.has("HTTP_PROXY")) ignored.add("proxy");
    if (ignored.has("address") && variable(env, "ADDR") !== variable(Object.fromEntries(found), "ADDR")) {
      for (const subject of ofOneServer) ignored.add(subject);
    }
    const wanted = [...found].filter(
      ([name]) => subjectOf(name) !== undefined && !ignored.has(subjectOf(name)),
    );
    return { path, variables: Object.fromEntries(wanted) };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { path, variables: {}, failure: error };
  }
}

/**
 * Adds the configuration's variables to the environment of a run. A configuration that this user may not read belongs
 * to another user and is ignored, except by root.
 *
 * @throws Failure if it can't be used
 */
export function useConfigFile(configPath: string, run: Run): void {
  const { path, variables, failure } = readConfigFile(configPath, run.env);
  if (failure !== undefined && !(isDenied(failure) && process.geteuid?.() !== 0)) throw failure;
  addVariables({ path, variables }, run);
}

/** Adds a configuration's variables to the environment of a run. */
export function addVariables({ path, variables }: ConfigFile, { log, setVariables }: Run): void {
  const names = Object.keys(variables);
  if (names.length > 0) log.debug(`${path} gives ${names.join(", ")}`);
  setVariables(variables);
}

/** The server's own variables and the role, each with its subject. Variables on one subject replace each other. */
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

/** Subjects that are about the file's own server and no other. */
const ofOneServer = ["server name", "verification"];

/** The subjects of an environment's variables. */
function subjectsOf(env: Environment): Set<string | undefined> {
  return new Set(Object.entries(env).map(([name, value]) => (value ? subjectOf(name) : undefined)));
}

function subjectOf(name: string): string | undefined {
  if (name === "SSL_CERT_FILE") return name;
  if (/^(HTTPS?|NO)_PROXY$/i.test(name)) return name.toUpperCase();
  const [, own = ""] = /^(?:VAULT|BAO)_(.*)$/.exec(name) ?? [];
  return Object.hasOwn(subjects, own) ? subjects[own] : undefined;
}
