import { asFailure, Failure } from "../failure.ts";
import type { PublicFiles } from "../host/certificate-set.ts";
import { mostCertificates } from "../vault/chain.ts";
import type { VaultClient } from "../vault/client.ts";
import { means } from "../vault/error.ts";
import { type ListedIssuer, listIssuers, readIssuerChain } from "../vault/issuers.ts";
import { issuerOfSignPath, mountOfSignPath } from "../vault/pki.ts";
import {
  type Certificate,
  isSameCertificate,
  isSelfSigned,
  isSignedBy,
  joinPem,
  readCertificates,
} from "../x509/certificate.ts";
import { chainOf } from "./check-signed.ts";
import type { CaRequest, RequestRecord } from "./request.ts";
import { BundleTooLong, type KnownIssuer, trustBundle } from "./trust-bundle.ts";

/**
 * A certificate's files compared with the server's CAs. `renewed`: they are to be written again, and the certificate
 * stays. `other`: the certificate leads to none of the CAs.
 */
export type CaOnServer = "same" | "renewed" | "other" | "unknown";

/** The CAs that the server has for a sign path. */
export type ServerCas = ListedCas | NamedCas;

export interface ListedCas {
  /** The issuers of its mount: all that have a key, and the others as far as they are needed. */
  readonly issuers: readonly KnownIssuer[];
}

/** The answer of a server that does not list keys and serial numbers. */
export interface NamedCas {
  /**
   * The CA that it names for the sign path, then those above it. Another CA may sign there: a role may name an issuer
   * other than its mount's default, and a host can't read roles.
   */
  readonly named: readonly [Certificate, ...Certificate[]];
}

/** Asks the server about its CAs, each question once. */
export interface CaReader {
  /** As `listIssuers`. */
  list(mount: string): Promise<readonly ListedIssuer[]>;
  /** As `readIssuerChain`. */
  chain(path: string): Promise<readonly [Certificate, ...Certificate[]]>;
}

export function caReader(client: VaultClient): CaReader {
  const lists = new Map<string, Promise<readonly ListedIssuer[]>>();
  const chains = new Map<string, Promise<readonly [Certificate, ...Certificate[]]>>();
  const read = async (path: string) =>
    readCertificates((await readIssuerChain(client, path)).join("\n"), "the server's answer");
  return {
    list: (mount) => once(lists, mount, () => listIssuers(client, mount)),
    chain: (path) => once(chains, path, () => read(path)),
  };
}

function once<T>(answers: Map<string, Promise<T>>, path: string, ask: () => Promise<T>): Promise<T> {
  const answer = answers.get(path) ?? ask();
  answers.set(path, answer);
  return answer;
}

/** More than the CAs of one file and their cross certificates. */
const mostIssuers = 2 * mostCertificates;

/** An imported CA may have a number that somebody chose, such as 01. A server's own numbers have 20 bytes. */
const shortestUnique = 8;

/**
 * Reads the server's CAs for a sign path. It lists the mount's issuers, and reads those that it does not know yet: none
 * in most runs. Needs no token.
 *
 * @param known certificates that need not be read: those of a destination's files or of a signature's answer
 * @throws Failure if the server can't be asked; BundleTooLong for more issuers than any files may hold
 */
export async function readServerCas(
  reader: CaReader,
  { signPath, caChain }: CaRequest,
  known: readonly Certificate[],
): Promise<ServerCas> {
  const mount = mountOfSignPath(signPath);
  const path = issuerOfSignPath(signPath);
  const listed = await reader.list(mount);
  const keyed = listed.filter(({ keyId }) => keyId !== "");
  const isTelling = listed.every(({ keyId, serial }) => keyId !== undefined && serial !== undefined);
  if (keyed.length === 0 || !isTelling) return { named: await reader.chain(path) };
  if (keyed.length > mostIssuers) throw new BundleTooLong(signPath, `${keyed.length} issuers with a key`);
  const knownAs = (serial: string) =>
    known.filter(({ x509 }) => serialOf(x509.serialNumber) === serialOf(serial));
  const read = async (one: ListedIssuer): Promise<KnownIssuer> => {
    const [certificate] = await reader.chain(`${mount}/issuer/${one.id}`);
    return asKnown(one, certificate, path);
  };
  const found: KnownIssuer[] = [];
  // One after the other, over one connection.
  for (const one of keyed) {
    const serial = one.serial ?? "";
    const [certificate] = serialOf(serial).length < 2 * shortestUnique ? [] : knownAs(serial);
    found.push(certificate === undefined ? await read(one) : asKnown(one, certificate, path));
  }
  const others = listed.filter(({ keyId }) => keyId === "");
  // They only lead further, so a serial number will do. Two may share it.
  for (const one of others) {
    found.push(...knownAs(one.serial ?? "").map((certificate) => asKnown(one, certificate, path)));
  }
  const unread = others.filter(({ serial }) => knownAs(serial ?? "").length === 0);
  if (!caChain || unread.length === 0 || endsInRoots(found)) return { issuers: found };
  if (unread.length > mostIssuers)
    throw new BundleTooLong(signPath, `${unread.length} issuers without a key`);
  for (const one of unread) found.push(await read(one));
  return { issuers: found };
}

function asKnown({ id, name, keyId = "", isDefault }: ListedIssuer, certificate: Certificate, path: string) {
  const reference = path.slice(path.lastIndexOf("/") + 1);
  const isNamed = reference === "default" ? isDefault : reference === id || reference === name;
  return { certificate, keyId, isNamed };
}

/** Hexadecimal, without what the server and the runtime write differently. */
function serialOf(text: string): string {
  return text
    .replaceAll(":", "")
    .toLowerCase()
    .replace(/^(?:00)+/, "");
}

/** Whether nothing is missing above any of the CAs. */
function endsInRoots(issuers: readonly KnownIssuer[]): boolean {
  return issuers.every(({ certificate }) => issuers.some((it) => isSignedBy(certificate, it.certificate)));
}

/** As `readServerCas`, with the Failure as a result. */
export async function askServerCas(...asked: Parameters<typeof readServerCas>): Promise<ServerCas | Failure> {
  try {
    return await readServerCas(...asked);
  } catch (error) {
    return asFailure(error);
  }
}

/** The CAs' certificates in a destination's files; none of a file that can't be read. */
export function knownIn({ certificate, ca }: Partial<PublicFiles>): readonly Certificate[] {
  const read = (text: string | undefined) => {
    try {
      return text === undefined ? [] : readCertificates(text, "it");
    } catch {
      return [];
    }
  };
  return [...read(ca), ...read(certificate).slice(1)];
}

/** A comparison with the server's CAs. */
export interface CaComparison {
  readonly ca: CaOnServer;
  /** For `renewed`: the files as they should be. */
  readonly files?: PublicFiles;
  /** For `unknown`: why. */
  readonly failure?: Failure;
}

/**
 * Compares a destination's files with the server's CAs. A different default issuer is no reason for a new certificate
 * while the old one still leads to an anchor.
 *
 * @param cas read with `knownIn` these files
 * @throws Failure (data) for a file that can't be read
 */
export function compareCas(
  files: PublicFiles,
  certificate: Certificate,
  request: CaRequest,
  record: RequestRecord | undefined,
  cas: ServerCas | Failure,
): CaComparison {
  if (cas instanceof Failure || "named" in cas)
    return compareNamed(files, certificate, request.caChain, record, cas);
  try {
    const { chain, authorities, isTrusted } = trustBundle(certificate, cas.issuers, request);
    if (!isTrusted) return { ca: "other" };
    const present = {
      certificate: readCertificates(files.certificate, "the certificate file"),
      ca: readCertificates(files.ca, "the CA file"),
    };
    // The Go tool's certificate files may end with a root.
    const [leaf, ...rest] = present.certificate;
    const isSameChain = isSameFile([leaf, ...rest.filter((it) => !isSelfSigned(it))], chain);
    const isSameCa = isSameFile(present.ca, authorities);
    if (isSameChain && isSameCa) return { ca: "same" };
    return {
      ca: "renewed",
      files: {
        certificate: isSameChain ? files.certificate : joinPem(chain),
        ca: isSameCa ? files.ca : joinPem(authorities),
      },
    };
  } catch (error) {
    if (error instanceof BundleTooLong) return { ca: "unknown", failure: error };
    throw error;
  }
}

/** Whether a file begins with the right certificate and holds the right ones after it, in any order. */
function isSameFile(present: readonly Certificate[], wanted: readonly Certificate[]): boolean {
  const fingerprints = (list: readonly Certificate[]) => list.map(({ x509 }) => x509.fingerprint256);
  const [have, want] = [fingerprints(present), fingerprints(wanted)];
  return have[0] === want[0] && new Set(have).symmetricDifference(new Set(want)).size === 0;
}

/**
 * The same by the one CA that a server names. If it named this CA already before it signed the certificate, nothing has
 * changed, even if another CA signed: the next certificate would have the same signer.
 */
function compareNamed(
  files: PublicFiles,
  certificate: Certificate,
  caChain: boolean,
  record: RequestRecord | undefined,
  cas: NamedCas | Failure,
): CaComparison {
  const id = serverCaId(cas);
  if (id !== undefined && id === record?.serverCa) return { ca: "same" };
  if (cas instanceof Failure) return { ca: "unknown", failure: cas };
  const [issuer, ...above] = cas.named;
  if (readCertificates(files.ca, "the CA file").some((it) => isSameCertificate(it, issuer)))
    return { ca: "same" };
  if (!isSignedBy(certificate, issuer)) return { ca: "other" };
  const authorities = caChain ? chainOf(certificate, issuer, above) : [issuer];
  return { ca: "renewed", files: { ...files, ca: joinPem(authorities) } };
}

/**
 * The CA that a server names, in short, for a certificate's record: its fingerprint, or `none` for a mount without a
 * default issuer, whose roles name theirs. Undefined if the server could not say.
 */
export function serverCaId(answer: NamedCas | Failure): string | undefined {
  if (!(answer instanceof Failure)) return answer.named[0].x509.fingerprint256;
  return means(answer, "noIssuer") ? "none" : undefined;
}
