import { sign } from "node:crypto";
import {
  type AsnType,
  BitString,
  Constructed,
  fromBER,
  Integer,
  Null,
  ObjectIdentifier,
  OctetString,
  Primitive,
  Sequence,
  Set as SetOf,
  Utf8String,
} from "asn1js";
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
 * @see RFC 2986, section 4; RFC 5280, section 4.2.1.6
 */
export function createCsr(key: PrivateKey, names: Names): string {
  // One RDN for each name.
  const subject = new Sequence({
    value: [
      ...names.organisations.map((name) => identified(oid.organisation, new Utf8String({ value: name }))),
      identified(oid.commonName, new Utf8String({ value: names.commonName })),
    ].map((it) => new SetOf({ value: [it] })),
  });
  const info = new Sequence({
    value: [
      new Integer({ value: 0 }),
      subject,
      fromBER(publicKeyDer(key.key)).result,
      // The attributes are required even when empty. Without them the server says "sequence truncated".
      new Constructed({ idBlock: { tagClass: 3, tagNumber: 0 }, value: attributes(names) }),
    ],
  });
  const { oid: algorithm, hash, withNull } = signature(key);
  const signed = sign(hash, new Uint8Array(info.toBER()), key.key);
  const csr = new Sequence({
    value: [
      info,
      identified(algorithm, ...(withNull ? [new Null()] : [])),
      new BitString({ valueHex: signed }),
    ],
  });
  return encodePem("CERTIFICATE REQUEST", new Uint8Array(csr.toBER()));
}

/** What begins with an object identifier: a name, an algorithm, an attribute, an extension. */
function identified(id: string, ...rest: AsnType[]): Sequence {
  return new Sequence({ value: [new ObjectIdentifier({ value: id }), ...rest] });
}

/** The request for a subject alternative name: RFC 2985, section 5.4.2. Empty if there are no names for it. */
function attributes({ dnsNames, ipAddresses }: Names): Sequence[] {
  const names = [
    ...dnsNames.map((name) => generalName(2, new TextEncoder().encode(name))),
    ...ipAddresses.map((address) => generalName(7, ipBytes(address) ?? new Uint8Array())),
  ];
  if (names.length === 0) return [];
  const value = new Sequence({ value: names }).toBER();
  const extension = identified(oid.subjectAltName, new OctetString({ valueHex: value }));
  return [identified(oid.extensionRequest, new SetOf({ value: [new Sequence({ value: [extension] })] }))];
}

/** @see RFC 5280, section 4.2.1.6 */
function generalName(tagNumber: number, value: Uint8Array<ArrayBuffer>): Primitive {
  return new Primitive({ idBlock: { tagClass: 3, tagNumber }, valueHex: value });
}
