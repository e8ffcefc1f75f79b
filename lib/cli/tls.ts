import { readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../failure.ts";
import { errorCode, fileError, printable } from "../host/file-error.ts";
import type { TlsOptions } from "../vault/connection.ts";
import { decodePem, encodePem, type PemBlock } from "../x509/pem.ts";
import { describe, type GivenPem } from "./given-pem.ts";
import { type Environment, variable, variableName } from "./variable.ts";

interface Trust {
  readonly given: readonly GivenPem[];
  readonly from: string;
}

/**
 * Which CAs a client trusts, and which certificate it presents, by the rules of the server's own command line.
 *
 * @param onNote takes a sentence about each file in a folder of CAs that is left out
 * @throws Failure (config) that names the variable and the file
 * @see https://developer.hashicorp.com/vault/docs/commands#configure-environment-variables
 */
export function tlsSettings(env: Environment, onNote: (sentence: string) => void): TlsOptions {
  const [cert, key] = clientIdentity(env);
  const serverName = variable(env, "TLS_SERVER_NAME");
  const trust = trusted(env, onNote);
  return {
    ca: trust.given.flatMap(({ pem }) => pem),
    caFrom: trust.from,
    skipVerify: truth(env, "SKIP_VERIFY"),
    ...(cert === undefined || key === undefined ? {} : { cert: cert.pem.join(""), key: key.pem.join("") }),
    ...(serverName === undefined ? {} : { serverName }),
    findFault: async () => (await import("./tls-fault.ts")).findTlsFault(trust.given, cert, key),
  };
}

function clientIdentity(env: Environment): [cert: GivenPem, key: GivenPem] | [] {
  const [certPath, keyPath] = [variable(env, "CLIENT_CERT"), variable(env, "CLIENT_KEY")];
  if ((certPath === undefined) !== (keyPath === undefined)) {
    throw new Failure(
      "config",
      "VAULT_CLIENT_CERT and VAULT_CLIENT_KEY go together, but only one of them is set",
    );
  }
  if (certPath === undefined || keyPath === undefined) return [];
  return [
    given(variableName(env, "CLIENT_CERT"), certPath),
    givenKey(variableName(env, "CLIENT_KEY"), keyPath),
  ];
}

/** The CAs in the CA file; else those in the variable itself, in the CA folder, or in the system's store. */
function trusted(env: Environment, onNote: (sentence: string) => void): Trust {
  const file = variable(env, "CACERT");
  if (file !== undefined) return only(given(variableName(env, "CACERT"), file));
  const bytes = variable(env, "CACERT_BYTES");
  if (bytes !== undefined) {
    const name = variableName(env, "CACERT_BYTES");
    return { given: [{ variable: name, pem: certificatesIn(bytes, name) }], from: name };
  }
  const folder = variable(env, "CAPATH");
  return folder === undefined ? systemTrust(env) : folderTrust(variableName(env, "CAPATH"), folder, onNote);
}

function only(one: GivenPem): Trust {
  return { given: [one], from: describe(one) };
}

function given(variable: string, path: string): GivenPem {
  const pem = certificatesIn(readNamed(variable, path), `${variable} names ${printable(path)}, which`);
  return { variable, path, pem };
}

/**
 * Checks the PEM encoding only. Parsing the certificates would load a library on every run of a timer.
 *
 * @param what holds the text, for the message
 */
function certificatesIn(text: string, what: string): readonly string[] {
  const whole = text.match(/-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----[^-]*-----END \1-----/g) ?? [];
  const begun = text.match(/-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/g) ?? [];
  // Other blocks in the file, such as an encrypted key, don't matter.
  const found = whole.length === begun.length ? blocksIn(whole.join("\n")) : [];
  if (found.length === 0) {
    throw new Failure("config", `${what} holds no certificate in PEM, or a broken one`, {
      hint:
        text.startsWith("0") && !text.includes("-----")
          ? "it looks like DER: openssl x509 -inform der -in FILE -out FILE.pem makes PEM of it"
          : undefined,
    });
  }
  if (found.some(({ label }) => label.startsWith("TRUSTED"))) {
    throw new Failure("config", `${what} holds an OpenSSL "TRUSTED CERTIFICATE", which is not used`, {
      hint: "openssl x509 -in FILE -out FILE.pem makes a plain certificate of it",
    });
  }
  return found.map(({ der }) => encodePem("CERTIFICATE", der));
}

/** The blocks in a text; none if one of them is broken or cut off. */
function blocksIn(text: string): readonly PemBlock[] {
  try {
    return decodePem(text, "");
  } catch {
    return [];
  }
}

function givenKey(variable: string, path: string): GivenPem {
  const text = readNamed(variable, path);
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: *4, *ENCRYPTED/m.test(text)) {
    throw new Failure("config", `${variable} names ${printable(path)}, whose key is encrypted`, {
      hint: "openssl pkey -in FILE -out FILE.pem decrypts it; a timer can't type a password",
    });
  }
  const pem = blocksIn(text)
    .filter(({ label }) => label.endsWith("PRIVATE KEY"))
    .map(({ label, der }) => encodePem(label, der));
  if (pem.length > 0) return { variable, path, pem };
  throw new Failure(
    "config",
    `${variable} names ${printable(path)}, which holds no private key in PEM, or a broken one`,
  );
}

/**
 * The CAs in a folder and in its sub-folders. The variable may also name a file, as it may for the server's own command
 * line.
 */
function folderTrust(variable: string, path: string, onNote: (sentence: string) => void): Trust {
  const found = new Map<string, GivenPem>();
  const seen = new Set<string>();
  const take = (file: string, isBelow: boolean) => {
    try {
      const stats = statFound(variable, file);
      if (stats.isDirectory()) return takeFolder(file, true);
      // A certificate that exists twice, through a link for example, counts once.
      for (const pem of given(variable, file).pem) found.set(pem, { variable, path: file, pem: [pem] });
    } catch (error) {
      // Release 1.0.0 did not read sub-folders, and /etc/ssl/certs may have some with other files in them.
      if (!isBelow || !(error instanceof Failure)) throw error;
      onNote(`${error.message}; it is left out`);
    }
  };
  const takeFolder = (folder: string, isBelow: boolean) => {
    const real = attempt(variable, folder, () => realpathSync(folder));
    if (seen.has(real)) return;
    seen.add(real);
    for (const entry of attempt(variable, folder, () => readdirSync(folder)).sort())
      take(join(folder, entry), isBelow);
  };
  if (statFound(variable, path).isDirectory()) takeFolder(path, false);
  else take(path, false);
  if (found.size > 0) return { given: [...found.values()], from: describe({ variable, path }) };
  throw new Failure("config", `${variable} names ${printable(path)}, which holds no file`);
}

function statFound(variable: string, path: string) {
  return attempt(variable, path, () => statSync(path));
}

function attempt<T>(variable: string, path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw fileError("config", `read what ${variable} names,`, path, error);
  }
}

// Where Linux distributions keep their CAs: Debian and Alpine, Fedora, openSUSE, older Red Hat. The same list as Go's.
const systemFiles = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/**
 * The system's store of CAs, which the runtime would not use by itself.
 *
 * @see https://pkg.go.dev/crypto/x509#SystemCertPool
 */
function systemTrust(env: Environment): Trust {
  // If the named file is missing, falling back to the runtime's list would trust more CAs than asked for.
  if (env.SSL_CERT_FILE) return only(given("SSL_CERT_FILE", env.SSL_CERT_FILE));
  const variable = "the system's store";
  for (const path of systemFiles) {
    try {
      return only({ variable, path, pem: [readFileSync(path, "utf8")] });
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw fileError("config", "read the system's CAs in", path, error);
    }
  }
  return { given: [], from: "the runtime's own list" };
}

/** Larger than any list of CAs. */
const maxNamedBytes = 16 * 1024 * 1024;

function readNamed(variable: string, path: string): string {
  return attempt(variable, path, () => {
    const stats = statSync(path);
    // Reading a FIFO could block for ever. A folder may pass: reading it fails with a clear error.
    if ((!stats.isFile() && !stats.isDirectory()) || stats.size > maxNamedBytes) {
      const how = stats.isFile() ? `longer than ${maxNamedBytes / 1024 / 1024} MiB` : "not a plain file";
      throw new Failure("config", `${variable} names ${printable(path)}, which is ${how}`);
    }
    return readFileSync(path, "utf8");
  });
}

function truth(env: Environment, name: string): boolean {
  const text = variable(env, name)?.toLowerCase();
  if (text === undefined || /^(0|f|false)$/.test(text)) return false;
  if (/^(1|t|true)$/.test(text)) return true;
  throw new Failure(
    "config",
    `${variableName(env, name)} is ${JSON.stringify(text)}, which is neither true nor false`,
  );
}
