import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { KnownIssuer } from "../../lib/renewal/trust-bundle.ts";
import { type Certificate, readCertificates } from "../../lib/x509/certificate.ts";
import { temporaryFolder } from "../support/folder.ts";
import { openssl, opensslEcKey } from "../support/openssl.ts";

/** A CA's certificate with chosen times, and its key. */
export interface DatedCa {
  readonly certificate: Certificate;
  readonly key: string;
}

interface Terms {
  /** @default the usual name, so that CAs differ by their keys alone */
  readonly subject?: string;
  /** @default self-signed */
  readonly signer?: DatedCa;
  /** @default a new key */
  readonly key?: string;
  /** When it begins and ends, in days from now. */
  readonly from?: number;
  readonly until?: number;
  /** Hexadecimal. */
  readonly serial?: string;
}

/** Makes a CA's certificate. */
export function datedCa(terms: Terms = {}): DatedCa {
  const {
    subject = "/CN=the CA",
    signer,
    key = opensslEcKey("P-256"),
    from = -10,
    until = 100,
    serial,
  } = terms;
  return { certificate: sign({ subject, signer, key, from, until, serial, kind: "authority" }), key };
}

/** Makes the certificate of a host. */
export function datedLeaf(signer: DatedCa): Certificate {
  const key = opensslEcKey("P-256");
  return sign({ subject: "/CN=it", signer, key, from: -1, until: 30, serial: undefined, kind: "leaf" });
}

interface Signing {
  readonly subject: string;
  readonly signer: DatedCa | undefined;
  readonly key: string;
  readonly from: number;
  readonly until: number;
  readonly serial: string | undefined;
  readonly kind: "authority" | "leaf";
}

function sign({ subject, signer, key, from, until, serial, kind }: Signing): Certificate {
  using folder = temporaryFolder();
  const file = (name: string, text: string) => {
    writeFileSync(join(folder.path, name), text, { mode: 0o600 });
    return join(folder.path, name);
  };
  file("index", "");
  if (serial !== undefined) file("serial", `${serial}\n`);
  const config = file("ca.cnf", configOf(folder.path, serial !== undefined));
  const csr = openssl(["req", "-new", "-key", "/dev/stdin", "-subj", subject], key);
  const by =
    signer === undefined
      ? ["-selfsign", "-keyfile", file("own.key", key)]
      : ["-cert", file("ca.pem", signer.certificate.pem), "-keyfile", file("ca.key", signer.key)];
  const stamp = (days: number) =>
    `${new Date(Date.now() + days * 86_400_000).toISOString().replace(/\D/g, "").slice(0, 14)}Z`;
  const times = ["-startdate", stamp(from), "-enddate", stamp(until)];
  const quiet = ["-batch", "-notext", "-in", "/dev/stdin"];
  const pem = openssl(["ca", "-config", config, "-extensions", kind, ...by, ...times, ...quiet], csr);
  return readCertificates(pem, "it")[0];
}

const configOf = (folder: string, hasSerial: boolean) => `
[ca]
default_ca = it
[it]
database = ${folder}/index
new_certs_dir = ${folder}
${hasSerial ? `serial = ${folder}/serial` : "rand_serial = yes"}
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
subjectAltName = DNS:it
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
`;

/** As an issuer of a mount. */
export function issuer(ca: DatedCa, keyId: string, isNamed = false): KnownIssuer {
  return { certificate: ca.certificate, keyId, isNamed };
}

/** Whether openssl takes a certificate from a peer that shows these others, for a reader that trusts one CA alone. */
export function isAccepted(shown: readonly Certificate[], anchor: Certificate): boolean {
  using folder = temporaryFolder();
  const file = (name: string, certificates: readonly Certificate[]) => {
    const path = join(folder.path, name);
    writeFileSync(path, certificates.map(({ pem }) => pem).join(""));
    return path;
  };
  const [leaf, ...others] = shown;
  if (leaf === undefined) throw new Error("no certificate is shown");
  const untrusted = others.length === 0 ? [] : ["-untrusted", file("shown.pem", others)];
  const command = [
    ...["openssl", "verify", "-x509_strict", "-partial_chain", "-purpose", "sslserver"],
    ...["-CAfile", file("anchor.pem", [anchor]), ...untrusted, file("leaf.pem", [leaf])],
  ];
  return Bun.spawnSync(command).exitCode === 0;
}
