import type { X509Certificate } from "node:crypto";
import { mostCertificates } from "../vault/chain.ts";
import { type CaFields, commonNameSubject, readCaFields } from "../x509/ca-fields.ts";
import { commonNameOf } from "../x509/certificate.ts";
import type { MountCas } from "./mount-cas.ts";

/** Why a mount's CA can't be rotated, and what an admin can do about it. */
export interface Obstacle {
  /** What follows "the CA of demo/pki/k8s". */
  readonly how: string;
  readonly hint: string;
}

/**
 * Why the CA that signs can't be given a new certificate or a successor: it has to be a root whose key the mount holds.
 *
 * @param now by the server's clock
 * @param renew what is to be new
 * @returns undefined if nothing is in the way
 */
export function whyNotRotatable(
  { default: current, signing, issuers }: MountCas,
  path: string,
  now: Date,
  renew: "certificate" | "key",
): Obstacle | undefined {
  if (current === undefined) {
    const able = issuers.filter(({ keyId, mayIssue }) => keyId !== "" && mayIssue);
    const ids = (able.length > 0 ? able : issuers).map(({ id, name }) => name || id).join(", ");
    return {
      how: "is unknown: the mount has no default issuer",
      hint: `choose one of ${ids}: vault write ${path}/config/issuers default=ISSUER`,
    };
  }
  if (current.keyId === "") {
    return {
      how: "can't be rotated here: the mount does not hold its key",
      hint:
        "have the certificate renewed where its key is, and import it by " +
        `vault write ${path}/issuers/import/cert pem_bundle=@FILE; or make another issuer the default`,
    };
  }
  const [root] = signing?.roots ?? [];
  if (root === undefined) {
    return {
      how: "is an intermediate CA, so only the CA above it can renew it",
      hint:
        `make a CSR by vault write ${path}/intermediate/generate/existing key_ref=${current.keyId} common_name=NAME, ` +
        `have the CA above sign it, import the answer by vault write ${path}/intermediate/set-signed certificate=@FILE, ` +
        `and make it the default by vault write ${path}/config/issuers default=ISSUER`,
    };
  }
  if (root.notBefore > now) {
    return {
      how: `begins ${root.notBefore.toISOString()}, in the future by the server's clock`,
      hint: "set that clock",
    };
  }
  const fields = readCaFields(root.x509.raw);
  const { pathLength } = fields;
  if (renew === "certificate") {
    const how = whyNotCopied(root.x509, fields);
    if (how === undefined) return undefined;
    return {
      how,
      hint:
        "make the certificate where the CA came from, with the same key, and import it by " +
        `vault write ${path}/issuers/import/cert pem_bundle=@FILE; or make a new CA by --new-key`,
    };
  }
  const renewFirst = "renew its certificate first, by the same command without --new-key";
  if (root.notAfter <= now) {
    return {
      how: `expired ${root.notAfter.toISOString()}, so it can't certify another CA`,
      hint: renewFirst,
    };
  }
  if (!root.mayIssue) {
    return {
      how: "may not sign certificates",
      hint: `give it the usage issuing-certificates: vault write ${path}/issuer/${root.id} usage=read-only,issuing-certificates,crl-signing,ocsp-signing`,
    };
  }
  if (pathLength === 0) {
    return {
      how: "may have no CA below it (path length 0), so it can't certify another CA",
      hint: renewFirst,
    };
  }
  return undefined;
}

/** What a new CA would not have of the one that signs, in a sentence; undefined if it has everything. */
export function whatIsLost({ signing }: MountCas): string | undefined {
  const [root] = signing?.roots ?? [];
  if (signing === undefined || root === undefined || !readCaFields(root.x509.raw).limitsNames)
    return undefined;
  return `${signing.name} limits the names below it (name constraints), and the new CA does not`;
}

/** What the server would not take over into a new certificate for a CA's key; undefined if it takes over everything. */
function whyNotCopied(
  x509: X509Certificate,
  { subject, keyIdentifier, keyHash, limitsNames }: CaFields,
): string | undefined {
  if (Buffer.compare(subject, commonNameSubject(commonNameOf(x509))) !== 0) {
    return (
      `has the subject ${x509.subject.replaceAll("\n", ", ")}, which the server would write in another way, ` +
      "so that no reader would know it again"
    );
  }
  // OpenSSL compares it with the one in each certificate.
  if (keyIdentifier !== undefined && keyIdentifier !== keyHash) {
    return (
      `has the key identifier ${keyIdentifier}, which the server would write in another way, ` +
      "so that not every reader would know it again"
    );
  }
  if (limitsNames) return "limits the names below it, which the server would leave out";
  return undefined;
}

/** Less than hosts refuse (lib/vault/chain.ts): their own certificates and CAs above the mount's need room, too. */
const mostWithRoom = mostCertificates - 4;
const mostCharacters = 100_000;

/** Why hosts could not take one more CA. */
export function whyNoRoom({ issuers }: MountCas): Obstacle | undefined {
  const sizes = issuers.filter(({ keyId }) => keyId !== "").map(({ certificate }) => certificate.length);
  // A new CA comes with a cross certificate.
  const characters = sizes.reduce((sum, size) => sum + size, 0) + 2 * Math.max(...sizes);
  if (characters <= mostCharacters && sizes.length + 2 <= mostWithRoom) return undefined;
  return {
    how: `has so many certificates (${sizes.length}) that hosts could not take another CA`,
    hint: "remove older ones first, by the same command with --retire",
  };
}
