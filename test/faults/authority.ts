import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../support/folder.ts";
import { openssl, opensslEcKey } from "../support/openssl.ts";

const hourMs = 3_600_000;

/** A CA of openssl that signs anything, with any times. */
export interface Authority extends Disposable {
  /** PEM. */
  readonly pem: string;
  readonly file: string;
  /** @returns PEM */
  sign(csr: string, terms?: Terms): string;
}

export interface Terms {
  /** The CA's clock. @default this machine's */
  readonly now?: Date;
  /** @default an hour ago */
  readonly from?: Date;
  /** @default in 30 days */
  readonly until?: Date;
  /** Replaces the CSR's subject: `/CN=other` */
  readonly subject?: string;
  /** Leaves the CSR's SANs out. */
  readonly withoutNames?: true;
}

export function createAuthority(commonName: string): Authority {
  const folder = temporaryFolder();
  const file = (name: string) => join(folder.path, name);
  const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7300"];
  const pem = openssl(["req", "-x509", ...ec, "-subj", `/CN=${commonName}`, "-keyout", file("ca.key")]);
  writeFileSync(file("ca.pem"), pem);
  writeFileSync(file("index"), "");
  writeFileSync(file("ca.cnf"), config(folder.path));
  return {
    pem,
    file: file("ca.pem"),
    sign(csr, terms = {}) {
      const now = (terms.now ?? new Date()).getTime();
      const { from = new Date(now - hourMs), until = new Date(now + 30 * 24 * hourMs) } = terms;
      const section = terms.withoutNames ? "without_names" : "with_names";
      const signer = ["-config", file("ca.cnf"), "-name", section, "-cert", file("ca.pem")];
      const times = ["-startdate", stamp(from), "-enddate", stamp(until)];
      const subject = terms.subject === undefined ? [] : ["-subj", terms.subject];
      const quiet = ["-batch", "-notext", "-in", "/dev/stdin"];
      return openssl(["ca", ...signer, "-keyfile", file("ca.key"), ...times, ...subject, ...quiet], csr);
    },
    [Symbol.dispose]: folder[Symbol.dispose],
  };
}

/** Makes a key and a CSR with it. */
export function newCsr(commonName: string, subjectAltName?: string): { readonly key: string; csr: string } {
  const key = opensslEcKey("P-256");
  const names = subjectAltName === undefined ? [] : ["-addext", `subjectAltName=${subjectAltName}`];
  const csr = openssl(["req", "-new", "-key", "/dev/stdin", "-subj", `/CN=${commonName}`, ...names], key);
  return { key, csr };
}

/** `20261124101500Z` */
function stamp(date: Date): string {
  return `${date.toISOString().replace(/\D/g, "").slice(0, 14)}Z`;
}

function config(folder: string): string {
  const section = `
database = ${folder}/index
new_certs_dir = ${folder}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
`;
  return `
[with_names]${section}copy_extensions = copy
[without_names]${section}copy_extensions = none
[any]
commonName = supplied
`;
}
