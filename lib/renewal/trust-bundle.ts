import { Failure } from "../failure.ts";
import { isWithinChain, mostCertificates } from "../vault/chain.ts";
import { mountOfSignPath } from "../vault/pki.ts";
import { type Certificate, isSelfSigned, isSignedBy, joinPem } from "../x509/certificate.ts";
import { intermediatesOf, stepsFrom } from "./check-signed.ts";
import type { CaRequest } from "./request.ts";

/** An issuer of a mount, with its certificate. */
export interface KnownIssuer {
  readonly certificate: Certificate;
  /** The id of its key; empty if the mount does not hold that. */
  readonly keyId: string;
  /** It is the one that the sign path stands for, by its name or as the default issuer. */
  readonly isNamed: boolean;
}

/** The certificates for a destination's two public files. */
export interface TrustBundle {
  /** For the certificate file: the certificate, then what leads from it to the CAs. */
  readonly chain: readonly [Certificate, ...Certificate[]];
  /** For the CA file: the anchors, then the CAs above them if they are asked for. */
  readonly authorities: readonly Certificate[];
  /** Whether the certificate leads to an anchor. */
  readonly isTrusted: boolean;
}

/**
 * What a certificate is served with, and whom its owner trusts. Every key that the mount holds has one anchor: its
 * self-signed certificate with the latest end, or the issuer itself if it has none (an intermediate CA). The anchor of
 * the CA that signed the certificate comes first, then the newest. So a host trusts the certificates of each CA of the
 * mount, and is trusted by each host that knows one of the CAs that its certificate leads to. An issuer without a key is
 * never an anchor: a company's root above a cluster's CA must not decide who is in the cluster.
 *
 * Pure, and independent of the order of the issuers.
 *
 * @param issuers of one mount; those without a key as far as they are known
 * @param request with its `caChain`, the CA file also holds the CAs above the anchors
 * @throws BundleTooLong (config) for more certificates than the files may hold
 */
export function trustBundle(
  leaf: Certificate,
  issuers: readonly KnownIssuer[],
  request: CaRequest,
): TrustBundle {
  const { signPath, caChain } = request;
  const all = distinct(issuers);
  const anchors = anchorsOf(leaf, all);
  const known = all.map(({ certificate }) => certificate);
  const steps = stepsFrom([leaf], known);
  // Of several certificates for one key, OpenSSL follows the first that it is shown.
  const named = all.find(({ isNamed }) => isNamed)?.certificate;
  const distance = (it: Certificate) =>
    (steps.get(it) ?? Number.POSITIVE_INFINITY) - (it === named ? 0.5 : 0);
  const byDistance = sorted(known, distance);
  const keyed = all.flatMap(({ certificate, keyId }) => (keyId === "" ? [] : [certificate]));
  const reached = caChain ? stepsFrom([leaf, ...keyed], known) : new Map<Certificate, number>();
  const above = byDistance.filter((it) => reached.has(it) && !keyed.includes(it));
  const onWay = byDistance.filter((it) => steps.has(it));
  const chain = intermediatesOf(
    leaf,
    onWay.filter((it) => !isReplaced(it, onWay)),
  );
  const bundle: TrustBundle = {
    chain: [leaf, ...chain],
    authorities: [...anchors, ...above],
    isTrusted: anchors.some((anchor) => steps.has(anchor)),
  };
  for (const file of [bundle.chain, bundle.authorities]) refuseLong(file, signPath);
  return bundle;
}

/** A mount may hold a certificate twice. The key and the name count that one of the two has. */
function distinct(issuers: readonly KnownIssuer[]): readonly KnownIssuer[] {
  const same = Map.groupBy(issuers, ({ certificate }) => certificate.x509.fingerprint256);
  return [...same.values()].flatMap((group) => {
    const [first] = group;
    const keyId =
      group
        .map((it) => it.keyId)
        .toSorted()
        .at(-1) ?? "";
    return first === undefined ? [] : [{ ...first, keyId, isNamed: group.some((it) => it.isNamed) }];
  });
}

function anchorsOf(leaf: Certificate, issuers: readonly KnownIssuer[]): readonly Certificate[] {
  const keys = Map.groupBy(
    issuers.filter(({ keyId }) => keyId !== ""),
    ({ keyId }) => keyId,
  );
  const anchors = [...keys.values()].flatMap((ofKey) => {
    const roots = ofKey.filter(({ certificate }) => isSelfSigned(certificate));
    // A key that has nothing but cross certificates belongs to a CA that was retired.
    const ownNames = ofKey.filter(({ certificate: { x509 } }) => x509.subject !== x509.issuer);
    // Readers find a CA by its name. If an admin has given the same key another one, certificates with both are in use.
    const names = Map.groupBy(
      roots.length > 0 ? roots : ownNames,
      ({ certificate }) => certificate.x509.subject,
    );
    return [...names.values()].flatMap((same) => {
      const named = roots.length > 0 ? undefined : same.find(({ isNamed }) => isNamed);
      const certificates = same.map(({ certificate }) => certificate);
      return named?.certificate ?? sorted(certificates, ({ notAfter }) => -notAfter.getTime()).slice(0, 1);
    });
  });
  return sorted(anchors, (anchor) => (isSignedBy(leaf, anchor) ? 0 : 1));
}

/** In this order, then the newest first. The fingerprint makes the order the same on every host. */
function sorted(
  certificates: readonly Certificate[],
  by: (it: Certificate) => number,
): readonly Certificate[] {
  const key = new Map(certificates.map((it) => [it, by(it)]));
  const order = (a: number, b: number) => (a === b ? 0 : a < b ? -1 : 1);
  return certificates.toSorted(
    (a, b) =>
      order(key.get(a) ?? 0, key.get(b) ?? 0) ||
      b.notBefore.getTime() - a.notBefore.getTime() ||
      (a.x509.fingerprint256 < b.x509.fingerprint256 ? -1 : 1),
  );
}

/** Whether the same CA has certified the same key again, for longer: then the older certificate need not be sent. */
function isReplaced(certificate: Certificate, others: readonly Certificate[]): boolean {
  const { notAfter, x509 } = certificate;
  return others.some(
    (it) =>
      it.notAfter > notAfter &&
      it.x509.subject === x509.subject &&
      it.x509.publicKey.equals(x509.publicKey) &&
      others.some((signer) => isSignedBy(certificate, signer) && isSignedBy(it, signer)),
  );
}

/** More certificates than one of the files may hold, or more issuers than any of them needs. */
export class BundleTooLong extends Failure {
  /** @param what is too much */
  constructor(signPath: string, what: string) {
    super(
      "config",
      `${mountOfSignPath(signPath)} has too many CAs for one CA file: ${what}; at most ${mostCertificates} certificates and 128 KiB are allowed`,
      { hint: "nothing was changed here; remove issuers from the mount that are no longer in use" },
    );
  }
}

function refuseLong(certificates: readonly Certificate[], signPath: string): void {
  if (isWithinChain(certificates.map(({ pem }) => pem))) return;
  const kilobytes = Math.ceil(joinPem(certificates).length / 1024);
  throw new BundleTooLong(signPath, `${certificates.length} certificates, of ${kilobytes} KiB together`);
}
