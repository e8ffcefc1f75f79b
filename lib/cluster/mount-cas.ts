import type { VaultClient } from "../vault/client.ts";
import { type IssuerInfo, listIssuers, readIssuer, readIssuersConfig } from "../vault/issuers.ts";
import { isSelfSigned, isSignedBy } from "../x509/certificate.ts";
import { readServerCertificate, type ServerCertificate } from "./server-certificate.ts";

/** An issuer of a mount: one certificate, with a key or without. */
export interface Issuer extends IssuerInfo, ServerCertificate {
  readonly isDefault: boolean;
}

/** A CA: a key of the mount, with every certificate that it has there. */
export interface MountCa {
  readonly keyId: string;
  /** For people and for the names of issuers: `g2`. */
  readonly name: string;
  /** Its self-signed certificates, the latest end first. An intermediate CA has none. */
  readonly roots: readonly Issuer[];
  /** Its certificates that another CA signed: cross certificates, or those of an intermediate CA. */
  readonly others: readonly Issuer[];
  /** When its first certificate began. */
  readonly madeAt: Date;
}

/** The CAs of a mount, as the server holds them. */
export interface MountCas {
  /** The oldest first. A key that has only cross certificates left is no CA any more. */
  readonly cas: readonly MountCa[];
  /** The CA of the default issuer. */
  readonly signing: MountCa | undefined;
  readonly default: Issuer | undefined;
  /** All issuers, also those without a key. */
  readonly issuers: readonly Issuer[];
  /** Whether the server makes each new issuer the default by itself. */
  readonly followsLatest: boolean;
}

/**
 * Reads all issuers of a mount, and sorts them by their keys.
 *
 * @param mount its path
 * @throws VaultError; Failure (unavailable) for a certificate that can't be read
 */
export async function readMountCas(client: VaultClient, mount: string): Promise<MountCas> {
  // In this order, the default issuer is in the list, also if somebody has just made another one the default.
  const config = await readIssuersConfig(client, mount);
  const listed = await listIssuers(client, mount);
  const found = await Promise.all(listed.map(({ id }) => readIssuer(client, mount, id)));
  const issuers = found.flatMap((info): Issuer[] => {
    // Somebody removed it meanwhile.
    if (info === undefined) return [];
    const read = readServerCertificate(info.certificate, `the issuer ${info.id} of ${mount}`);
    return [{ ...info, ...read, isDefault: info.id === config.defaultId }];
  });
  return { ...sortByKey(issuers), issuers, followsLatest: config.followsLatest };
}

/** The CAs that issuers make up. */
function sortByKey(issuers: readonly Issuer[]): Pick<MountCas, "cas" | "signing" | "default"> {
  const byKey = Map.groupBy(
    issuers.filter(({ keyId }) => keyId !== ""),
    ({ keyId }) => keyId,
  );
  const found = [...byKey]
    .map(([keyId, its]) => ({
      keyId,
      roots: its.filter(isSelfSigned).toSorted((a, b) => b.notAfter.getTime() - a.notAfter.getTime()),
      others: its.filter((it) => !isSelfSigned(it)),
      madeAt: new Date(Math.min(...its.map(({ notBefore }) => notBefore.getTime()))),
    }))
    .filter(({ roots, others }) => roots.length > 0 || others.some((it) => !isCross(it)));
  const chosen = issuers.find(({ isDefault }) => isDefault);
  const isChosen = ({ keyId }: Pick<MountCa, "keyId">) => (keyId === chosen?.keyId ? 1 : 0);
  const unnamed = found
    .map((ca) => ({ ...ca, madeAt: beforeLater(ca, found) }))
    // Certificates begin at whole seconds. The server lists issuers in the order of their random ids.
    .toSorted(
      (a, b) =>
        a.madeAt.getTime() - b.madeAt.getTime() ||
        generation(a) - generation(b) ||
        isChosen(a) - isChosen(b) ||
        (a.keyId < b.keyId ? -1 : 1),
    );
  const cas = unnamed.map((ca, index) => ({ ...ca, name: nameOf(ca, index, issuers) }));
  return { cas, signing: cas.find(({ keyId }) => keyId === chosen?.keyId), default: chosen };
}

/** A CA is older than those with higher numbers, also if its first certificate was removed after it was renewed. */
function beforeLater(
  ca: Pick<MountCa, "roots" | "madeAt">,
  cas: ReadonlyArray<Pick<MountCa, "roots" | "madeAt">>,
): Date {
  const number = generation(ca);
  const later = number === 0 ? [] : cas.filter((it) => generation(it) > number);
  return new Date(Math.min(...[ca, ...later].map(({ madeAt }) => madeAt.getTime())));
}

/** The number in the name of a CA; 0 without one. */
function generation({ roots }: Pick<MountCa, "roots">): number {
  return Math.max(0, ...roots.map(({ name }) => Number(/^g(\d{1,6})\b/.exec(name)?.[1] ?? 0)));
}

/**
 * Whether a certificate has its issuer's name as its own, but is signed by another key: a cross certificate (RFC 5280,
 * section 6.1: self-issued).
 */
export function isCross(issuer: Pick<Issuer, "x509">): boolean {
  return issuer.x509.subject === issuer.x509.issuer && !isSelfSigned(issuer);
}

/** The same for a mount, where a CA may be certified by one with another subject: the CA's own root is there, too. */
export function isCrossIn({ cas }: Pick<MountCas, "cas">, issuer: Pick<Issuer, "x509" | "keyId">): boolean {
  const isOfRoot = cas.some(({ keyId, roots }) => keyId === issuer.keyId && roots.length > 0);
  return isCross(issuer) || (isOfRoot && !isSelfSigned(issuer));
}

/** Whether a CA's key has signed a certificate. */
export function hasSigned({ roots, others }: MountCa, certificate: Pick<Issuer, "x509">): boolean {
  return [...roots, ...others].some((issuer) => isSignedBy(certificate, issuer));
}

/** The certificate that stands for a CA: its root with the latest end, or else the first that another CA signed. */
export function mainIssuer({ roots, others }: MountCa): Issuer | undefined {
  return roots[0] ?? others[0];
}

/** The first CA of a mount has no name, and counts as `g1`. */
function nameOf(
  { keyId, roots, others }: Pick<MountCa, "keyId" | "roots" | "others">,
  index: number,
  issuers: readonly Issuer[],
): string {
  // A cross certificate by a CA with another subject looks like an intermediate CA's.
  const its = roots.length > 0 ? [...roots].reverse() : others.filter((it) => !isCross(it));
  const named = its.find(({ name }) => name !== "")?.name;
  // `g1-2` is the second certificate of `g1`.
  if (named !== undefined) return /^(g\d+)-\d+$/.exec(named)?.[1] ?? named;
  const isFree = !issuers.some(({ name }) => name === "g1");
  return index === 0 && isFree ? "g1" : keyId.slice(0, 8);
}

/** The CAs that were made before the one that signs, the oldest first. */
export function casBefore({ cas, signing }: Pick<MountCas, "cas" | "signing">): readonly MountCa[] {
  const index = cas.findIndex(({ keyId }) => keyId === signing?.keyId);
  return cas.slice(0, Math.max(0, index));
}

/** The name for the next CA: `g` and a number that no issuer of the mount has or had. */
export function nextName({ cas, issuers }: MountCas): string {
  const numbers = issuers.flatMap(({ name }) =>
    [...name.matchAll(/\bg(\d{1,6})\b/g)].map(([, n]) => Number(n)),
  );
  return `g${Math.max(cas.length, ...numbers) + 1}`;
}

/** The name for a CA's next certificate: `g1-2` for the second one of `g1`. */
export function renewalName(mount: MountCas, { name, roots }: MountCa): string {
  return numbered(mount, name, roots.length + 1);
}

/** A name that no issuer of the mount has: the wanted one, or with a number behind it. */
export function freeName(mount: MountCas, wanted: string): string {
  return isTaken(mount, wanted) ? numbered(mount, wanted, 2) : wanted;
}

/** A name with the first number from `number` on that makes it free. */
function numbered(mount: MountCas, name: string, number: number): string {
  const numberedName = `${name}-${number}`;
  return isTaken(mount, numberedName) ? numbered(mount, name, number + 1) : numberedName;
}

function isTaken({ issuers }: MountCas, name: string): boolean {
  return issuers.some((it) => it.name === name);
}
