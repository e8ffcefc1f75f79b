import type { KeyObject } from "node:crypto";
import { Failure } from "../failure.ts";
import type { KeyType } from "./key-type.ts";
import { nodeCrypto } from "./node-crypto.ts";
import { decodePem, encodePem } from "./pem.ts";

/** A private key as it stands in its file, and ready for use. */
export interface PrivateKey {
  /** The text that it was read from, or PKCS #8 for a new one: what is kept is kept to the letter. */
  readonly pem: string;
  readonly key: KeyObject;
  readonly type: KeyType;
}

/**
 * Makes a key. RSA is made on another thread: a request can be under way meanwhile.
 *
 * @see https://www.w3.org/TR/WebCryptoAPI/#subtlecrypto-interface
 */
export async function generateKey(type: KeyType): Promise<PrivateKey> {
  const pair = await crypto.subtle.generateKey(algorithm(type), true, ["sign", "verify"]);
  if (!("privateKey" in pair)) throw new Failure("internal", "the runtime made no key pair");
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", pair.privateKey);
  const pem = encodePem("PRIVATE KEY", new Uint8Array(pkcs8));
  return { pem, key: nodeCrypto().KeyObject.from(pair.privateKey), type };
}

function algorithm(type: KeyType) {
  switch (type.type) {
    case "rsa":
      return {
        name: "RSASSA-PKCS1-v1_5",
        modulusLength: type.bits,
        publicExponent: Uint8Array.of(1, 0, 1),
        hash: "SHA-256",
      };
    case "ec":
      return { name: "ECDSA", namedCurve: `P-${type.bits}` };
    case "ed25519":
      return { name: "Ed25519" };
  }
}

/**
 * Reads a private key in each of its standard forms: PKCS #8 (RFC 5208, RFC 5958, RFC 8410), PKCS #1 (RFC 8017)
 * and SEC 1 (RFC 5915), the last with or without its public point and parameters.
 *
 * @param what the key's file, for the sentence
 * @throws Failure (data) that says what it is instead
 */
export async function readKey(pem: string, what: string): Promise<PrivateKey> {
  // Before the blocks are read: OpenSSL's older form has headers, which are no base64.
  if (pem.includes("BEGIN ENCRYPTED PRIVATE KEY") || pem.includes("Proc-Type: 4,ENCRYPTED")) {
    throw new Failure("data", `${what} holds a key that is encrypted`, {
      hint: "a host has nobody to type a passphrase; decrypt it, or remove it to have a new one made",
    });
  }
  const keys = decodePem(pem, what).filter(({ label }) => label.endsWith("PRIVATE KEY"));
  const [block] = keys;
  if (block === undefined) throw new Failure("data", `${what} holds no private key in PEM`);
  if (keys.length > 1) throw new Failure("data", `${what} holds ${keys.length} private keys`);
  const key = await parseKey(pem, block.der, what);
  return { pem, key, type: keyTypeOf(key, what) };
}

async function parseKey(pem: string, der: Uint8Array<ArrayBuffer>, what: string): Promise<KeyObject> {
  try {
    // The runtime passes over what stands behind the key.
    if (!isOneSequence(der)) throw new RangeError("the length in it is not its own");
    return nodeCrypto().createPrivateKey(pem);
  } catch (cause) {
    // The runtime does not read version 2 of PKCS #8, which has the public key beside the private one.
    const { readPkcs8WithPublicKey } = await import("./pkcs8-v2.ts");
    const key = await readPkcs8WithPublicKey(der, what);
    if (key !== undefined) return key;
    throw new Failure("data", `${what} holds a private key that can't be read`, {
      hint: "it is broken, or of a kind that we don't use (RSA, EC P-256, P-384, P-521 and Ed25519 are)",
      // The runtime's error may quote the key.
      cause: cause instanceof Error && "code" in cause ? cause.code : undefined,
    });
  }
}

/** Whether the DER is a SEQUENCE to its last byte: X.690, section 8.1.3. */
function isOneSequence(der: Uint8Array): boolean {
  const [tag, first = 0] = der;
  if (tag !== 0x30) return false;
  if (first < 0x80) return der.length === 2 + first;
  const lengthBytes = der.subarray(2, 2 + (first & 0x7f));
  return der.length === 2 + lengthBytes.length + lengthBytes.reduce((sum, byte) => sum * 256 + byte, 0);
}

/**
 * The kind of a private or public key.
 *
 * @throws Failure (data) for one that we don't use
 */
export function keyTypeOf(key: KeyObject, what: string): KeyType {
  const details = key.asymmetricKeyDetails;
  const bits = Number(details?.modulusLength ?? 0);
  if (key.asymmetricKeyType === "rsa") {
    if (bits >= 2048) return { type: "rsa", bits };
    throw new Failure("data", `${what} holds an RSA key of ${bits} bits; 2048 is the least that is safe`);
  }
  if (key.asymmetricKeyType === "ed25519") return { type: "ed25519", bits: 256 };
  switch (details?.namedCurve) {
    case "prime256v1":
      return { type: "ec", bits: 256 };
    case "secp384r1":
      return { type: "ec", bits: 384 };
    case "secp521r1":
      return { type: "ec", bits: 521 };
    default:
      throw new Failure(
        "data",
        `${what} holds a key of a kind that we don't use (${details?.namedCurve ?? key.asymmetricKeyType})`,
      );
  }
}

/** The public key as DER SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7). */
export function publicKeyDer(key: KeyObject): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(nodeCrypto().createPublicKey(key).export({ type: "spki", format: "der" }));
}
