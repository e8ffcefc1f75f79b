import type { KeyObject } from "node:crypto";
import { ed25519 } from "@noble/curves/ed25519.js";
import { fromBER, Integer, ObjectIdentifier, OctetString, Sequence } from "asn1js";
import { Failure } from "../failure.ts";
import { nodeCrypto } from "./node-crypto.ts";

// 1.3.101.112, encoded. The bytes are compared, since printing a broken identifier throws.
const ed25519Oid = Buffer.from("06032b6570", "hex");

// PKCS #8 version 1 around a seed of 32 bytes: RFC 8410, section 7.
const version1 = Buffer.from("302e020100300506032b657004220420", "hex");

/**
 * Reads an Ed25519 key in version 2 of PKCS #8, which holds attributes and the public key beside the private key. Java
 * writes this form, and RFC 8410 has an example of it.
 *
 * @returns the key; undefined when the DER is something else
 * @throws Failure (data) when its public key doesn't belong to its private key
 * @see RFC 5958, section 2; RFC 8410, section 7
 */
export async function readPkcs8WithPublicKey(
  der: Uint8Array<ArrayBuffer>,
  what: string,
): Promise<KeyObject | undefined> {
  const sequence = parseSequence(der);
  if (sequence === undefined) return undefined;
  const [version, algorithm, privateKey, ...rest] = sequence.valueBlock.value;
  if (!(version instanceof Integer && version.valueBlock.valueDec === 1)) return undefined;
  if (!(algorithm instanceof Sequence && privateKey instanceof OctetString)) return undefined;
  const [oid] = algorithm.valueBlock.value;
  if (!(oid instanceof ObjectIdentifier) || !Buffer.from(oid.toBER()).equals(ed25519Oid)) return undefined;

  // CurvePrivateKey: an octet string inside the octet string.
  const inner = new Uint8Array(privateKey.valueBlock.valueHexView);
  if (inner.length !== 34 || inner[0] !== 0x04 || inner[1] !== 32) return undefined;
  const seed = inner.subarray(2);
  // publicKey [1] IMPLICIT BIT STRING: the first byte counts the unused bits.
  const given = rest.find(({ idBlock }) => idBlock.tagClass === 3 && idBlock.tagNumber === 1);
  const publicKey = given === undefined ? undefined : Buffer.from(given.valueBeforeDecodeView).subarray(-32);
  if (publicKey !== undefined && !publicKey.equals(ed25519.getPublicKey(seed))) {
    throw new Failure("data", `${what} holds a public key that does not belong to its private key`);
  }
  return nodeCrypto().createPrivateKey({
    key: Buffer.concat([version1, seed]),
    format: "der",
    type: "pkcs8",
  });
}

function parseSequence(der: Uint8Array<ArrayBuffer>): Sequence | undefined {
  try {
    const { result } = fromBER(der);
    // The parser ignores trailing bytes and wrong lengths, but encoding the result again shows them.
    return result instanceof Sequence && Buffer.from(result.toBER()).equals(der) ? result : undefined;
  } catch {
    // It throws for a broken time or string inside.
    return undefined;
  }
}
