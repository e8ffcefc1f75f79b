import { homedir } from "node:os";
import { join } from "node:path";
import { parseDuration } from "../duration.ts";
import { Failure } from "../failure.ts";
import { printable } from "../host/file-error.ts";
import { readGivenToken } from "../host/token-files.ts";
import { parseAddress } from "../vault/address.ts";
import type { ProxyServer, TlsOptions } from "../vault/connection.ts";
import { proxyFor } from "./proxy.ts";
import { tlsSettings } from "./tls.ts";
import { type Environment, variable, variableName } from "./variable.ts";

/** How to reach the server, from the same variables as the server's own command line. */
export interface ServerSettings {
  readonly address: string;
  readonly namespace?: string;
  readonly tls: TlsOptions;
  /** The proxy for an address; undefined if there is none. */
  readonly proxy: (to: URL) => ProxyServer | undefined;
  readonly requestTimeoutMs?: number;
  readonly maxRetries?: number;
}

/**
 * The folder of this unit's credentials; undefined outside of a unit, and in a unit without credentials.
 *
 * @see https://systemd.io/CREDENTIALS/
 */
export function credentialsPath(env: Environment): string | undefined {
  return env.CREDENTIALS_DIRECTORY || undefined;
}

/**
 * Reads the settings from the environment.
 *
 * @param onNote takes a sentence about each file that is ignored
 * @throws Failure (config) that names the wrong variable
 * @see https://developer.hashicorp.com/vault/docs/commands#configure-environment-variables
 */
export function serverSettings(
  env: Environment,
  onNote: (sentence: string) => void = () => {},
): ServerSettings {
  const address = (variable(env, "ADDR") ?? "https://127.0.0.1:8200").trim();
  const namespace = variable(env, "NAMESPACE")?.replace(/^\/+|\/+$/g, "") || undefined;
  const timeout = variable(env, "CLIENT_TIMEOUT");
  const retries = variable(env, "MAX_RETRIES");
  return {
    address,
    tls:
      parseAddress(address, variableName(env, "ADDR")).protocol === "https:" ? tlsSettings(env, onNote) : {},
    proxy: (to) => proxyFor(env, to),
    ...(namespace === undefined ? {} : { namespace }),
    ...(timeout === undefined
      ? {}
      : { requestTimeoutMs: timeoutMs(variableName(env, "CLIENT_TIMEOUT"), timeout) }),
    ...(retries === undefined ? {} : { maxRetries: wholeNumber(variableName(env, "MAX_RETRIES"), retries) }),
  };
}

/**
 * An admin's token: from `VAULT_TOKEN`, else from the file that `VAULT_TOKEN_FILE` names, else from the file that
 * `vault login` writes. Never the host token.
 *
 * @throws Failure (permission) if there is none
 */
export function adminToken(env: Environment): string {
  const token = givenToken(env) ?? readGivenToken(join(env.HOME || homedir(), ".vault-token"));
  if (token !== undefined) return token;
  throw new Failure("permission", "there is no admin's token", {
    hint: "set VAULT_TOKEN or VAULT_TOKEN_FILE, or log in with `vault login` first",
  });
}

/** The token that the environment holds or names; undefined if there is none. */
export function givenToken(env: Environment): string | undefined {
  const token = variable(env, "TOKEN");
  const path = variable(env, "TOKEN_FILE");
  if (token !== undefined || path === undefined) return token;
  const read = readGivenToken(path);
  if (read !== undefined) return read;
  throw new Failure(
    "config",
    `${variableName(env, "TOKEN_FILE")} names ${printable(path)}, where there is no token`,
  );
}

/** A duration; a bare number is seconds, as for the server's own command line. */
function timeoutMs(name: string, text: string): number {
  try {
    const seconds = parseDuration(/^\d+$/.test(text) ? `${text}s` : text);
    const milliseconds = Math.ceil(seconds * 1000);
    if (milliseconds > 0 && Number.isSafeInteger(milliseconds)) return milliseconds;
  } catch {
    // the failure below names the variable
  }
  throw new Failure(
    "config",
    `${name} is ${JSON.stringify(text)}, which is not a duration of more than zero`,
    {
      hint: "set it to one like 30s",
    },
  );
}

function wholeNumber(name: string, text: string): number {
  if (/^\d{1,3}$/.test(text)) return Number(text);
  throw new Failure("config", `${name} is ${JSON.stringify(text)}, which is not a number up to 999`);
}
