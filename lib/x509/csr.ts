import { sign } from "node:crypto";
import { Failure } from "../failure.ts";
import {
  bitString,
  nullValue,
  objectIdentifier,
  octetString,
  sequence,
  setOf,
  smallInteger,
  tagged,
  utf8String,
} from "./der.ts";
import { ipBytes } from "./ip-address.ts";
import { type PrivateKey, publicKeyDer } from "./key.ts";
import type { Names } from "./names.ts";
import { encodePem } from "./pem.ts";

const oid = {
  commonName: "2.5.4.3",
  organisation: "2.5.4.10",
  extensionRequest: "1.2.840.113549.1.9.14",
  subjectAltName: "2.5.29.17",
} as const;

/** The signature algorithm for a key, with a hash that matches its strength: RFC 4055, RFC 5758, RFC 8410. */
function signature({ type }: PrivateKey): { oid: string; hash: string | null; withNull: boolean } {
  if (type.type === "ed25519") return { oid: "1.3.101.112", hash: null, withNull: false };
  if (type.type === "rsa") return { oid: "1.2.840.113549.1.1.11", hash: "sha256", withNull: true };
  const ecdsa = {
    256: { oid: "1.2.840.10045.4.3.2", hash: "sha256" },
    384: { oid: "1.2.840.10045.4.3.3", hash: "sha384" },
    521: { oid: "1.2.840.10045.4.3.4", hash: "sha512" },
  }[type.bits];
  return { ...ecdsa, withNull: false };
}

/**
 * A certificate signing request for a key. Host names and addresses go into the subject alternative name.
 *
 * @returns PEM
 * @throws Failure (internal) for an address that is none
 * @see RFC 2986, section 4; RFC 5280, section 4.2.1.6
 */
export function createCsr(key: PrivateKey, names: Names): string {
  // One RDN for each name.
  const subject = sequence(
    ...names.organisations.map((name) => setOf(identified(oid.organisation, utf8String(name)))),
    setOf(identified(oid.commonName, utf8String(names.commonName))),
  );
  const info = sequence(
    smallInteger(0),
    subject,
    publicKeyDer(key.key),
    // The attributes are required even when empty. Without them the server says "sequence truncated".
    tagged(constructed(0), ...attributes(names)),
  );
  const { oid: algorithm, hash, withNull } = signature(key);
  const signed = sign(hash, info, key.key);
  const csr = sequence(info, identified(algorithm, ...(withNull ? [nullValue()] : [])), bitString(signed));
  return encodePem("CERTIFICATE REQUEST", csr);
}

/** A SEQUENCE that begins with an object identifier: a name, an algorithm, an attribute, an extension. */
function identified(id: string, ...rest: readonly Uint8Array[]): Uint8Array {
  return sequence(objectIdentifier(id), ...rest);
}

/** The request for a subject alternative name: RFC 2985, section 5.4.2. Empty if there are no names for it. */
function attributes({ dnsNames, ipAddresses }: Names): Uint8Array[] {
  const names = [
    ...dnsNames.map((name) => tagged(primitive(2), new TextEncoder().encode(name))),
    ...ipAddresses.map((address) => tagged(primitive(7), bytesOf(address))),
  ];
  if (names.length === 0) return [];
  const extension = identified(oid.subjectAltName, octetString(sequence(...names)));
  return [identified(oid.extensionRequest, setOf(sequence(extension)))];
}

/** Callers have checked the address. */
function bytesOf(address: string): Uint8Array {
  const bytes = ipBytes(address);
  if (bytes !== undefined) return bytes;
  throw new Failure("internal", `can't make a CSR: ${JSON.stringify(address)} is not an address`);
}

/** A tag of the structure that it is in, `[2]`: X.690, section 8.1.2. */
function primitive(tag: number): number {
  return 0x80 | tag;
}

function constructed(tag: number): number {
  return 0xa0 | tag;
}
