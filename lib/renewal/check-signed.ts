import { isPlausibleNow } from "../calendar.ts";
import { Failure, type FailureKind } from "../failure.ts";
import type { Clocks } from "../vault/clocks.ts";
import type { SignedCertificate } from "../vault/pki.ts";
import {
  type Certificate,
  isFor,
  isSameCertificate,
  isSelfSigned,
  isSignedBy,
  readCertificates,
} from "../x509/certificate.ts";
import { normalIp } from "../x509/ip-address.ts";
import type { PrivateKey } from "../x509/key.ts";
import type { Names } from "../x509/names.ts";
import { type Validity, validityOf } from "./validity.ts";

/** A signed certificate, read and checked. */
export interface CheckedCertificate {
  readonly leaf: Certificate;
  /** Between the certificate and the root, as a TLS server has to send them. */
  readonly intermediates: readonly Certificate[];
  /** The signer first, then those above it. */
  readonly authorities: readonly [Certificate, ...Certificate[]];
}

/**
 * Makes sure that a signed certificate may replace the existing one: it is for our key, signed by the CA that came with
 * it, has the requested names, and is valid now by at least one clock.
 *
 * @throws Failure (data) that says which of these does not hold
 */
export function checkSigned(
  signed: SignedCertificate,
  key: PrivateKey,
  names: Names,
  now: Clocks,
): CheckedCertificate {
  const [leaf] = readCertificates(signed.certificate, "the server's answer");
  const [issuer] = readCertificates(signed.issuingCa, "the server's answer");
  const chain = signed.caChain.flatMap((pem) => readCertificates(pem, "the server's answer"));
  if (!isFor(leaf, key.key)) throw refused("is for another key than the request's");
  if (!isSignedBy(leaf, issuer)) throw refused("is not signed by the CA that came with it");
  const missing = missingNames(leaf, names);
  if (missing.length > 0) throw refused(`lacks what was asked for: ${missing.join(", ")}`);
  const validity = validityOf(leaf, now);
  if (validity !== "valid") throw outOfTime(leaf, validity, now);
  if (validityOf(issuer, now) === "ended") {
    throw new Failure(
      "unavailable",
      `the CA that signed the certificate expired ${issuer.notAfter.toISOString()}; nothing was changed here`,
      { hint: "an admin renews it: rotate-ca CLUSTER MOUNT" },
    );
  }
  const above = chain.filter((it) => !isSameCertificate(it, issuer) && !isSameCertificate(it, leaf));
  const authorities = chainOf(leaf, issuer, above);
  return { leaf, intermediates: intermediatesOf(leaf, authorities), authorities };
}

/**
 * The CA that signed a certificate, and those above it, in the server's order. One CA may have several certificates in
 * it, signed by different roots. Every CA in a CA file is trusted, so each must have signed the certificate, or another
 * CA that did.
 *
 * @throws Failure (data) for a CA that did not
 */
export function chainOf(
  leaf: Certificate,
  issuer: Certificate,
  above: readonly Certificate[],
): readonly [Certificate, ...Certificate[]] {
  const steps = stepsFrom([leaf], [issuer, ...above]);
  const foreign = above.find((ca) => !steps.has(ca));
  if (foreign !== undefined)
    throw refused(`came with ${foreign.commonName}, a CA that signed none of its chain`);
  return [issuer, ...above];
}

/**
 * How many signatures each CA is away from the nearest of some certificates, on the shortest path; a CA without a path
 * is left out.
 */
export function stepsFrom(
  certificates: readonly Certificate[],
  authorities: readonly Certificate[],
): ReadonlyMap<Certificate, number> {
  const steps = new Map<Certificate, number>();
  let last = certificates;
  for (let step = 1; last.length > 0; step++) {
    const next = authorities.filter((ca) => !steps.has(ca) && last.some((it) => isSignedBy(it, ca)));
    for (const ca of next) steps.set(ca, step);
    last = next;
  }
  return steps;
}

/**
 * The CAs between the certificate and a trusted root. The roots themselves are left out, and so is a CA whose signer is
 * as near to the certificate as the CA itself: if CAs were cross-signed both ways, it would only lead back.
 */
export function intermediatesOf(
  leaf: Certificate,
  authorities: readonly Certificate[],
): readonly Certificate[] {
  const steps = stepsFrom([leaf], authorities);
  const stepOf = (ca: Certificate) => steps.get(ca) ?? Number.POSITIVE_INFINITY;
  return authorities.filter(
    (ca) => !isSelfSigned(ca) && !authorities.some((it) => stepOf(it) <= stepOf(ca) && isSignedBy(ca, it)),
  );
}

/** A clock that was never set will be set soon, so the failure is temporary then. */
function outOfTime(
  { notBefore, notAfter }: Certificate,
  validity: Exclude<Validity, "valid">,
  now: Clocks,
): Failure {
  const words = {
    ended: `expired ${notAfter.toISOString()}, before it began to be used`,
    "not yet": `begins ${notBefore.toISOString()}, in the future`,
    neither: `begins ${notBefore.toISOString()} and ends ${notAfter.toISOString()}, and is valid by neither clock`,
  };
  const kind = isPlausibleNow(now.host.getTime()) ? "data" : "temporary";
  return refused(words[validity], "compare this host's clock with the server's", kind);
}

function missingNames(leaf: Certificate, names: Names): string[] {
  const dns = leaf.dnsNames.map((name) => name.toLowerCase());
  return [
    leaf.commonName === names.commonName ? [] : [`common name ${names.commonName}`],
    names.dnsNames.filter((name) => !dns.includes(name.toLowerCase())),
    names.ipAddresses.filter((address) => !leaf.ipAddresses.includes(normalIp(address) ?? address)),
  ].flat();
}

function refused(
  how: string,
  hint = "the role at the sign path decides what is signed; nothing was changed here",
  kind: FailureKind = "data",
): Failure {
  return new Failure(kind, `the certificate that the server signed ${how}`, { hint });
}
