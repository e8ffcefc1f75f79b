import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { KnownIssuer } from "../../lib/renewal/trust-bundle.ts";
import { type Certificate, readCertificates } from "../../lib/x509/certificate.ts";
import { temporaryFolder } from "./folder.ts";
import { openssl, opensslEcKey } from "./openssl.ts";

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
  /** @default those of a CA without a limit */
  readonly extensions?: readonly string[];
  /** Its key identifier, in hexadecimal. @default a hash of its key, as the server makes it */
  readonly keyIdentifier?: string;
  /** The moment from which days are counted, in milliseconds. @default now */
  readonly now?: number;
}

const unlimited = ["basicConstraints = critical, CA:TRUE", "keyUsage = critical, keyCertSign, cRLSign"];
const ofHost = [
  "basicConstraints = critical, CA:FALSE",
  "keyUsage = critical, digitalSignature",
  "subjectAltName = DNS:it",
  "subjectKeyIdentifier = hash",
];

/** Makes a CA's certificate. */
export function datedCa(terms: Terms = {}): DatedCa {
  const {
    subject = "/CN=the CA",
    signer,
    key = opensslEcKey("P-256"),
    from = -10,
    until = 100,
    serial,
    extensions = unlimited,
    keyIdentifier = "hash",
    now = Date.now(),
  } = terms;
  const identified = [...extensions, `subjectKeyIdentifier = ${keyIdentifier}`];
  return {
    certificate: sign({ subject, signer, key, from, until, now, serial, extensions: identified }),
    key,
  };
}

/** Makes the certificate of a host. */
export function datedLeaf(signer: DatedCa): Certificate {
  const key = opensslEcKey("P-256");
  return sign({
    subject: "/CN=it",
    signer,
    key,
    from: -1,
    until: 30,
    now: Date.now(),
    serial: undefined,
    extensions: ofHost,
  });
}

interface Signing {
  readonly subject: string;
  readonly signer: DatedCa | undefined;
  readonly key: string;
  readonly from: number;
  readonly until: number;
  readonly now: number;
  readonly serial: string | undefined;
  readonly extensions: readonly string[];
}

function sign({ subject, signer, key, from, until, now, serial, extensions }: Signing): Certificate {
  using folder = temporaryFolder();
  const file = (name: string, text: string) => {
    writeFileSync(join(folder.path, name), text, { mode: 0o600 });
    return join(folder.path, name);
  };
  file("index", "");
  if (serial !== undefined) file("serial", `${serial}\n`);
  const config = file("ca.cnf", configOf(folder.path, serial !== undefined, extensions));
  // Go, too, writes a PrintableString where it can.
  const request = file("req.cnf", "[req]\nstring_mask=pkix\ndistinguished_name=dn\n[dn]\n");
  const csr = openssl(["req", "-new", "-config", request, "-key", "/dev/stdin", "-subj", subject], key);
  const by =
    signer === undefined
      ? ["-selfsign", "-keyfile", file("own.key", key)]
      : ["-cert", file("ca.pem", signer.certificate.pem), "-keyfile", file("ca.key", signer.key)];
  const stamp = (days: number) =>
    `${new Date(now + days * 86_400_000).toISOString().replace(/\D/g, "").slice(0, 14)}Z`;
  const times = ["-startdate", stamp(from), "-enddate", stamp(until)];
  const quiet = ["-batch", "-notext", "-in", "/dev/stdin"];
  const pem = openssl(["ca", "-config", config, "-extensions", "extensions", ...by, ...times, ...quiet], csr);
  return readCertificates(pem, "it")[0];
}

const configOf = (folder: string, hasSerial: boolean, extensions: readonly string[]) => `
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
organizationName = optional
[extensions]
${extensions.join("\n")}
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
