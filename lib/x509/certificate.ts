import type { KeyObject, X509Certificate } from "node:crypto";
import { calendarDate } from "../calendar.ts";
import { Failure } from "../failure.ts";
import { normalIp } from "./ip-address.ts";
import { publicKeyDer } from "./key.ts";
import { nodeCrypto } from "./node-crypto.ts";
import { decodePem, encodePem } from "./pem.ts";
import { isPssSignedBy } from "./pss.ts";

export interface Certificate {
  /** This certificate alone, without the rest of its chain. */
  readonly pem: string;
  readonly x509: X509Certificate;
  readonly commonName: string;
  readonly organisations: readonly string[];
  readonly dnsNames: readonly string[];
  /** As `normalIp` writes them. */
  readonly ipAddresses: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/**
 * The certificates in a PEM text, in order. The runtime reads them, so no ASN.1 library has to be loaded.
 *
 * @param what names the text in messages
 * @throws Failure (data) when it holds no certificate, or one that can't be read
 */
export function readCertificates(pem: string, what: string): readonly [Certificate, ...Certificate[]] {
  const [first, ...rest] = decodePem(pem, what)
    .filter(({ label }) => label === "CERTIFICATE")
    .map(({ der }) => readCertificate(der, what));
  if (first === undefined) throw new Failure("data", `${what} holds no certificate in PEM`);
  return [first, ...rest];
}

function readCertificate(der: Uint8Array<ArrayBuffer>, what: string): Certificate {
  try {
    const x509 = new (nodeCrypto().X509Certificate)(Buffer.from(der));
    const names = splitNames(x509.subjectAltName ?? "");
    const [notBefore, notAfter] = [calendarDate(x509.validFrom), calendarDate(x509.validTo)];
    if (notBefore === undefined || notAfter === undefined) throw new RangeError("its times are no dates");
    return {
      pem: encodePem("CERTIFICATE", der),
      x509,
      commonName: commonNameOf(x509),
      organisations: nameValues(x509.subject, "O"),
      dnsNames: names.filter(([kind]) => kind === "DNS").map(([, name]) => name),
      ipAddresses: names
        .filter(([kind]) => kind === "IP Address")
        .map(([, address]) => normalIp(address) ?? address),
      notBefore,
      notAfter,
    };
  } catch (cause) {
    throw new Failure("data", `${what} holds a certificate that can't be read`, { cause });
  }
}

/**
 * The values of an attribute in a distinguished name. The runtime prints one line for each part of the name, and ` + `
 * between the values of one part (Go puts all organisations into one part). Special characters have a backslash before
 * them, and control characters are a backslash and two hexadecimal digits: RFC 4514.
 */
function nameValues(name: string | undefined, attribute: string): string[] {
  return (name ?? "")
    .split(/\n| \+ /)
    .filter((text) => text.startsWith(`${attribute}=`))
    .map((text) => text.slice(attribute.length + 1).replace(/\\(?:([0-9A-F]{2})|(.))/g, unescapeCharacter));
}

function unescapeCharacter(_all: string, code: string | undefined, character = ""): string {
  return code === undefined ? character : String.fromCharCode(Number.parseInt(code, 16));
}

/** Splits `DNS:a, IP Address:10.0.0.1`. The runtime prints a value with special characters as a JSON string. */
function splitNames(text: string): Array<readonly [kind: string, value: string]> {
  return [...text.matchAll(/([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/g)].map(([, kind, value = ""]) => [
    kind ?? "",
    value.startsWith('"') ? String(JSON.parse(value)) : value,
  ]);
}

/** A certificate whose times are known already. Everything else is read when first used, which most runs never do. */
export function knownCertificate(
  pem: () => string,
  what: string,
  times: Pick<Certificate, "notBefore" | "notAfter">,
): Certificate {
  let read: Certificate | undefined;
  const whole = () => {
    read ??= readCertificates(pem(), what)[0];
    return read;
  };
  return {
    ...times,
    get pem() {
      return whole().pem;
    },
    get x509() {
      return whole().x509;
    },
    get commonName() {
      return whole().commonName;
    },
    get organisations() {
      return whole().organisations;
    },
    get dnsNames() {
      return whole().dnsNames;
    },
    get ipAddresses() {
      return whole().ipAddresses;
    },
  };
}

/** The common name of a certificate's subject; empty if it has none. */
export function commonNameOf({ subject }: X509Certificate): string {
  return nameValues(subject, "CN")[0] ?? "";
}

/** The issuer's common name. Without one it is the issuer's whole name, in one line. */
export function issuerName({ x509 }: Certificate): string {
  return nameValues(x509.issuer, "CN")[0] ?? (x509.issuer ?? "").replaceAll("\n", ", ");
}

/** Whether the certificate holds the public half of this key. */
export function isFor(certificate: Certificate, key: KeyObject): boolean {
  const inside = certificate.x509.publicKey.export({ type: "spki", format: "der" });
  return Buffer.compare(inside, publicKeyDer(key)) === 0;
}

/** Whether the CA's key has signed the certificate and the CA's name is its issuer. Ignores the times. */
export function isSignedBy(certificate: Pick<Certificate, "x509">, ca: Pick<Certificate, "x509">): boolean {
  const { publicKey } = ca.x509;
  if (!certificate.x509.checkIssued(ca.x509)) return false;
  return certificate.x509.verify(publicKey) || isPssSignedBy(certificate.x509, publicKey);
}

export function isSelfSigned(certificate: Pick<Certificate, "x509">): boolean {
  return isSignedBy(certificate, certificate);
}

export function isSameCertificate(a: Certificate, b: Certificate): boolean {
  return a.x509.fingerprint256 === b.x509.fingerprint256;
}

/** Certificates as the text of one file. */
export function joinPem(certificates: readonly Certificate[]): string {
  return certificates.map(({ pem }) => pem).join("");
}
