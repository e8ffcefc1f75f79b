import { createHash } from "node:crypto";
import * as asn1js from "asn1js";
import { Failure } from "../failure.ts";
import { objectIdentifier, sequence, setOf, tagged, utf8String } from "./der.ts";

/** Fields of a CA certificate that the runtime doesn't give. */
export interface CaFields {
  /** The subject in DER: Go compares names byte by byte. */
  readonly subject: Uint8Array;
  /** How many CAs may be below it; undefined if the certificate sets no limit. */
  readonly pathLength: number | undefined;
  /** The identifier of its key, in hexadecimal; undefined if it has none. */
  readonly keyIdentifier: string | undefined;
  /** The identifier that the server gives to its key: RFC 5280, section 4.2.1.2, method 1. */
  readonly keyHash: string;
  /** Whether it limits the names below it. */
  readonly limitsNames: boolean;
}

const subjectKeyIdentifier = "2.5.29.14";
const basicConstraints = "2.5.29.19";
const nameConstraints = "2.5.29.30";
/** The tag of the extensions: RFC 5280, section 4.1. */
const extensionsTag = 3;

/**
 * @param der a certificate
 * @throws Failure (data) for anything else
 * @see RFC 5280, sections 4.1 and 4.2.1.9
 */
export function readCaFields(der: Uint8Array<ArrayBuffer>): CaFields {
  const fields = partsOf(partsOf(asn1js.fromBER(der).result)[0]);
  // The version is left out in version 1.
  const first = fields[0]?.idBlock.tagClass === 3 ? 1 : 0;
  const subject = fields[first + 4];
  if (subject === undefined) throw new Failure("data", "a CA's certificate can't be read");
  const tagOf = ({ idBlock }: asn1js.BaseBlock) => (idBlock.tagClass === 3 ? idBlock.tagNumber : undefined);
  const extensions = partsOf(partsOf(fields.find((it) => tagOf(it) === extensionsTag))[0]);
  const extension = (wanted: string) =>
    extensions
      .map(partsOf)
      .find(([id]) => id instanceof asn1js.ObjectIdentifier && id.valueBlock.toString() === wanted)
      ?.at(-1);
  return {
    subject: new Uint8Array(subject.toBER()),
    pathLength: pathLengthIn(extension(basicConstraints)),
    keyIdentifier: octetsIn(extension(subjectKeyIdentifier)),
    keyHash: hashOf(partsOf(fields[first + 5])[1]),
    limitsNames: extension(nameConstraints) !== undefined,
  };
}

function octetsIn(value: asn1js.BaseBlock | undefined): string | undefined {
  if (!(value instanceof asn1js.OctetString)) return undefined;
  const { result } = asn1js.fromBER(value.getValue());
  return result instanceof asn1js.OctetString ? Buffer.from(result.getValue()).toString("hex") : undefined;
}

function hashOf(key: asn1js.BaseBlock | undefined): string {
  if (!(key instanceof asn1js.BitString)) throw new Failure("data", "a CA's certificate can't be read");
  return createHash("sha1").update(key.valueBlock.valueHexView).digest("hex");
}

function pathLengthIn(value: asn1js.BaseBlock | undefined): number | undefined {
  if (!(value instanceof asn1js.OctetString)) return undefined;
  const limit = partsOf(asn1js.fromBER(value.getValue()).result).find((it) => it instanceof asn1js.Integer);
  return limit?.valueBlock.valueDec;
}

function partsOf(block: asn1js.BaseBlock | undefined): readonly asn1js.BaseBlock[] {
  return block instanceof asn1js.Constructed ? block.valueBlock.value : [];
}

/** Characters of a PrintableString that Go writes as one: X.680, section 41.4. */
const printable = /^[A-Za-z0-9 '()+,\-./:=?]*$/;
const printableStringTag = 0x13;

/** A subject of nothing but a common name, in DER, as Go's encoder writes it for the server. */
export function commonNameSubject(commonName: string): Uint8Array {
  const text = printable.test(commonName)
    ? tagged(printableStringTag, new TextEncoder().encode(commonName))
    : utf8String(commonName);
  return sequence(setOf(sequence(objectIdentifier("2.5.4.3"), text)));
}
