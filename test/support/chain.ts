import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { openssl, opensslEcKey } from "./openssl.ts";

export interface Identity {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
  /** The text of `cert` only. */
  readonly file: string;
  readonly keyFile: string;
}

interface Wanted {
  readonly signer?: Identity;
  /** The lines of an openssl section with extensions. */
  readonly extensions: readonly string[];
  readonly days?: number;
}

const ca = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"];

/** Makes a CA, self-signed if no signer is given. */
export function makeCa(folder: string, name: string, signer?: Identity): Identity {
  return makeIdentity(folder, name, { extensions: ca, ...(signer && { signer }) });
}

/** Makes a server's certificate. */
export function makeLeaf(folder: string, name: string, signer?: Identity, san = "IP:127.0.0.1"): Identity {
  return makeIdentity(folder, name, { extensions: [`subjectAltName=${san}`], ...(signer && { signer }) });
}

/** Makes a key and its certificate, in an existing folder. */
export function makeIdentity(
  folder: string,
  name: string,
  { signer, extensions, days = 2 }: Wanted,
): Identity {
  const path = (suffix: string) => join(folder, `${name}${suffix}`);
  const key = opensslEcKey("P-256");
  const [file, keyFile, extensionFile] = [path(".pem"), path(".key"), path(".ext")];
  writeFileSync(keyFile, key);
  writeFileSync(extensionFile, `${extensions.join("\n")}\n`);
  const csr = openssl(["req", "-new", "-key", keyFile, "-subj", `/CN=${name}`]);
  const by = signer === undefined ? ["-key", keyFile] : ["-CA", signer.file, "-CAkey", signer.keyFile];
  const times = ["-days", String(days), "-set_serial", String(Date.now())];
  const cert = openssl(["x509", "-req", ...by, ...times, "-extfile", extensionFile], csr);
  writeFileSync(file, cert);
  return { cert, key, file, keyFile };
}
