import { sign } from "node:crypto";
import {
  BitString,
  Constructed,
  fromBER,
  Integer,
  Null,
  OctetString,
  Sequence,
  Set as SetOf,
  Utf8String,
} from "asn1js";
import {
  AlgorithmIdentifier,
  Attribute,
  AttributeTypeAndValue,
  Extension,
  Extensions,
  GeneralName,
  GeneralNames,
  PublicKeyInfo,
} from "pkijs";
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
  // One RDN for each name. RelativeDistinguishedNames of pkijs would put all of them into one.
  const subject = new Sequence({
    value: [
      ...names.organisations.map((name) => attribute(oid.organisation, name)),
      attribute(oid.commonName, names.commonName),
    ].map((it) => new SetOf({ value: [it.toSchema()] })),
  });
  const publicKey = new PublicKeyInfo({ schema: fromBER(publicKeyDer(key.key)).result });
  const info = new Sequence({
    value: [
      new Integer({ value: 0 }),
      subject,
      publicKey.toSchema(),
      // The attributes are required even when empty. Without them the server says "sequence truncated".
      new Constructed({
        idBlock: { tagClass: 3, tagNumber: 0 },
        value: sanAttributes(names).map((it) => it.toSchema()),
      }),
    ],
  });
  // CertificationRequest.sign of pkijs supports neither Ed25519 nor a KeyObject, so sign the parts here.
  const { oid: algorithmId, hash, withNull } = signature(key);
  const algorithm = new AlgorithmIdentifier({
    algorithmId,
    ...(withNull ? { algorithmParams: new Null() } : {}),
  });
  const signed = sign(hash, new Uint8Array(info.toBER()), key.key);
  const csr = new Sequence({
    value: [info, algorithm.toSchema(), new BitString({ valueHex: Uint8Array.from(signed).buffer })],
  });
  return encodePem("CERTIFICATE REQUEST", new Uint8Array(csr.toBER()));
}

function attribute(type: string, value: string): AttributeTypeAndValue {
  return new AttributeTypeAndValue({ type, value: new Utf8String({ value }) });
}

function sanAttributes({ dnsNames, ipAddresses }: Names): Attribute[] {
  const names = [
    ...dnsNames.map((value) => new GeneralName({ type: 2, value })),
    ...ipAddresses.map((text) => {
      const bytes = ipBytes(text) ?? new Uint8Array();
      return new GeneralName({ type: 7, value: new OctetString({ valueHex: bytes.buffer }) });
    }),
  ];
  if (names.length === 0) return [];
  const extnValue = new GeneralNames({ names }).toSchema().toBER();
  const extension = new Extension({ extnID: oid.subjectAltName, critical: false, extnValue });
  return [
    new Attribute({
      type: oid.extensionRequest,
      values: [new Extensions({ extensions: [extension] }).toSchema()],
    }),
  ];
}
