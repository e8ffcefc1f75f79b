import { readdirSync, readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { parseDuration } from "../duration.ts";
import { ExitCode, Failure } from "../failure.ts";
import { errorCode, fileError, printable } from "../host/file-error.ts";
import { readTokenFile } from "../host/token-files.ts";
import type { TlsOptions } from "../vault/client.ts";
import { decodePem } from "../x509/pem.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** What the environment says of the server: the variables of its own command line. */
export interface ServerSettings {
  readonly address: string;
  readonly namespace?: string;
  readonly tls: TlsOptions;
  readonly requestTimeoutMs?: number;
  readonly maxRetries?: number;
}

/** A variable under OpenBao's name or Vault's; the first wins, as it does there. An empty one is not set. */
export function variable(env: Environment, name: string): string | undefined {
  return env[fullName(env, name)] || undefined;
}

/** The one that is set: a sentence about it sends nobody to the other. */
function fullName(env: Environment, name: string): string {
  return env[`BAO_${name}`] ? `BAO_${name}` : `VAULT_${name}`;
}

/**
 * The folder of this unit's credentials; undefined where it runs in none that has any.
 *
 * @see https://systemd.io/CREDENTIALS/
 */
export function credentialsPath(env: Environment): string | undefined {
  return env.CREDENTIALS_DIRECTORY || undefined;
}

/**
 * @throws Failure (configuration) that names the variable that is wrong
 * @see https://developer.hashicorp.com/vault/docs/commands#configure-environment-variables
 */
export function serverSettings(env: Environment): ServerSettings {
  const address = variable(env, "ADDR") ?? "https://127.0.0.1:8200";
  const namespace = variable(env, "NAMESPACE")?.replace(/^\/+|\/+$/g, "") || undefined;
  const timeout = variable(env, "CLIENT_TIMEOUT");
  const retries = variable(env, "MAX_RETRIES");
  return {
    address,
    tls: /^https:/i.test(address) ? tlsSettings(env) : {},
    ...(namespace === undefined ? {} : { namespace }),
    ...(timeout === undefined
      ? {}
      : { requestTimeoutMs: timeoutMs(fullName(env, "CLIENT_TIMEOUT"), timeout) }),
    ...(retries === undefined ? {} : { maxRetries: wholeNumber(fullName(env, "MAX_RETRIES"), retries) }),
  };
}

function tlsSettings(env: Environment): TlsOptions {
  const clientCert = variable(env, "CLIENT_CERT");
  const clientKey = variable(env, "CLIENT_KEY");
  if ((clientCert === undefined) !== (clientKey === undefined)) {
    throw new Failure(
      ExitCode.config,
      "VAULT_CLIENT_CERT and VAULT_CLIENT_KEY go together, and one is not set",
    );
  }
  const serverName = variable(env, "TLS_SERVER_NAME");
  return {
    ca: trustedCas(env),
    skipVerify: truth(env, "SKIP_VERIFY"),
    ...(clientCert === undefined ? {} : { cert: readNamed(fullName(env, "CLIENT_CERT"), clientCert) }),
    ...(clientKey === undefined ? {} : { key: readNamed(fullName(env, "CLIENT_KEY"), clientKey) }),
    ...(serverName === undefined ? {} : { serverName }),
  };
}

/** The CA file, else each in the CA folder, else the system's own store, which the runtime would pass over. */
function trustedCas(env: Environment): readonly string[] {
  const file = variable(env, "CACERT");
  if (file !== undefined) return [checkedCa(fullName(env, "CACERT"), file)];
  const folder = variable(env, "CAPATH");
  if (folder === undefined) return systemCas(env);
  // A file there serves too, as it does with the server's own command line.
  const name = fullName(env, "CAPATH");
  const files = filesBelow(name, folder);
  if (files.length === 0) {
    throw new Failure(ExitCode.config, `${name} names ${printable(folder)}, which holds no file`);
  }
  return files.map((path) => checkedCa(name, path));
}

/** Looks for the PEM blocks alone: to read what is in them would load a library for each run of a timer. */
function checkedCa(name: string, path: string): string {
  const pem = readNamed(name, path);
  if (holdsCertificate(pem)) return pem;
  throw new Failure(
    ExitCode.config,
    `${name} names ${printable(path)}, which holds no certificate in PEM, or a broken one`,
  );
}

function holdsCertificate(pem: string): boolean {
  try {
    return decodePem(pem, "").some(({ label }) => label === "CERTIFICATE");
  } catch {
    return false;
  }
}

function filesBelow(name: string, path: string): readonly string[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
    return readdirSync(path)
      .map((entry) => join(path, entry))
      .filter((entry) => statSync(entry).isFile());
  } catch (error) {
    throw fileError(ExitCode.config, `read what ${name} names,`, path, error);
  }
}

// Where Linux distributions keep them: Debian and Alpine, Fedora, openSUSE, older Red Hat. The same list as Go's.
const systemFiles = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/** @see https://pkg.go.dev/crypto/x509#SystemCertPool */
function systemCas(env: Environment): readonly string[] {
  // One that is named and not there must not widen whom we trust to the runtime's own list.
  if (env.SSL_CERT_FILE) return [checkedCa("SSL_CERT_FILE", env.SSL_CERT_FILE)];
  for (const path of systemFiles) {
    try {
      return [readFileSync(path, "utf8")];
    } catch (error) {
      if (errorCode(error) !== "ENOENT")
        throw fileError(ExitCode.config, "read the system's CAs in", path, error);
    }
  }
  return [];
}

/** More than any list of CAs. */
const maxNamedBytes = 16 * 1024 * 1024;

function readNamed(name: string, path: string): string {
  try {
    const stats = statSync(path);
    // A FIFO would hold the run for ever; a folder's own error says what it is.
    if ((!stats.isFile() && !stats.isDirectory()) || stats.size > maxNamedBytes) {
      const how = stats.isFile() ? `longer than ${maxNamedBytes / 1024 / 1024} MiB` : "not a plain file";
      throw new Failure(ExitCode.config, `${name} names ${printable(path)}, which is ${how}`);
    }
    return readFileSync(path, "utf8");
  } catch (error) {
    throw fileError(ExitCode.config, `read what ${name} names,`, path, error);
  }
}

/**
 * An admin's token: `VAULT_TOKEN`, else the file that `VAULT_TOKEN_FILE` names, else the one that `vault login`
 * writes. Never a host's.
 *
 * @throws Failure (no permission) where there is none
 */
export function adminToken(env: Environment): string {
  const token = givenToken(env) ?? tokenIn(join(env.HOME || homedir(), ".vault-token"));
  if (token !== undefined) return token;
  throw new Failure(ExitCode.noPermission, "there is no token to set a cluster up with", {
    hint: "set VAULT_TOKEN or VAULT_TOKEN_FILE, or log in with `vault login` first",
  });
}

/** A token that the environment gives in words; undefined where it gives none. */
export function givenToken(env: Environment): string | undefined {
  const token = variable(env, "TOKEN");
  const path = variable(env, "TOKEN_FILE");
  if (token !== undefined || path === undefined) return token;
  const read = tokenIn(path);
  if (read !== undefined) return read;
  throw new Failure(
    ExitCode.config,
    `${fullName(env, "TOKEN_FILE")} names ${printable(path)}, where there is no token`,
  );
}

function tokenIn(path: string): string | undefined {
  const file = readTokenFile(path);
  return file.state === "filled" ? file.token : undefined;
}

/** A duration; a bare number is seconds, as the server's own command line has it. */
function timeoutMs(name: string, text: string): number {
  try {
    const seconds = parseDuration(/^\d+$/.test(text) ? `${text}s` : text);
    const milliseconds = Math.ceil(seconds * 1000);
    if (milliseconds > 0 && Number.isSafeInteger(milliseconds)) return milliseconds;
  } catch {
    // told below, by the variable's name
  }
  throw new Failure(
    ExitCode.config,
    `${name} is ${JSON.stringify(text)}, which is not a duration above zero`,
    {
      hint: "set it to one like 30s",
    },
  );
}

function wholeNumber(name: string, text: string): number {
  if (/^\d{1,3}$/.test(text)) return Number(text);
  throw new Failure(ExitCode.config, `${name} is ${JSON.stringify(text)}, which is not a number up to 999`);
}

function truth(env: Environment, name: string): boolean {
  const text = variable(env, name)?.toLowerCase();
  if (text === undefined || /^(0|f|false)$/.test(text)) return false;
  if (/^(1|t|true)$/.test(text)) return true;
  throw new Failure(
    ExitCode.config,
    `${fullName(env, name)} is ${JSON.stringify(text)}, which is neither true nor false`,
  );
}
