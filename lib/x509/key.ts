import type { KeyObject } from "node:crypto";
import { Failure } from "../failure.ts";
import type { KeyType } from "./key-type.ts";
import { nodeCrypto } from "./node-crypto.ts";
import { decodePem, encodePem } from "./pem.ts";

/** A private key, both as text and ready for use. */
export interface PrivateKey {
  /** The text that the key was read from, unchanged. For a new key it is PKCS #8. */
  readonly pem: string;
  readonly key: KeyObject;
  readonly type: KeyType;
}

/**
 * Generates a key. The runtime does this on another thread, so requests can run at the same time.
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
 * Reads a private key in any standard form: PKCS #8 (RFC 5208, RFC 5958, RFC 8410), PKCS #1 (RFC 8017) or SEC 1 (RFC
 * 5915), the last with or without its public point and parameters.
 *
 * @param what names the key's file in messages
 * @throws Failure (data) when the text holds no key, several keys, or one that we can't use
 */
export async function readKey(pem: string, what: string): Promise<PrivateKey> {
  // Check this before decoding: OpenSSL's older format has headers inside the block, which are not base64.
  if (pem.includes("BEGIN ENCRYPTED PRIVATE KEY") || pem.includes("Proc-Type: 4,ENCRYPTED")) {
    throw new Failure("data", `${what} holds a key that is encrypted`, {
      hint: "nobody can type a passphrase on a host; decrypt the key, or remove it so that a new one is made",
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
    // The runtime ignores bytes after the key.
    if (!isOneSequence(der)) throw new RangeError("its length field is wrong");
    return nodeCrypto().createPrivateKey(pem);
  } catch (cause) {
    // The runtime can't read version 2 of PKCS #8, which holds the public key beside the private one.
    const { readPkcs8WithPublicKey } = await import("./pkcs8-v2.ts");
    const key = await readPkcs8WithPublicKey(der, what);
    if (key !== undefined) return key;
    throw new Failure("data", `${what} holds a private key that can't be read`, {
      hint: "it is broken, or its type is not one of RSA, EC P-256, P-384, P-521 and Ed25519",
      // Only the code: the runtime's message may quote the key.
      cause: cause instanceof Error && "code" in cause ? cause.code : undefined,
    });
  }
}

/** Whether the DER is one SEQUENCE with nothing after it: X.690, section 8.1.3. */
function isOneSequence(der: Uint8Array): boolean {
  const [tag, first = 0] = der;
  if (tag !== 0x30) return false;
  if (first < 0x80) return der.length === 2 + first;
  const lengthBytes = der.subarray(2, 2 + (first & 0x7f));
  return der.length === 2 + lengthBytes.length + lengthBytes.reduce((sum, byte) => sum * 256 + byte, 0);
}

/**
 * The type of a private or public key.
 *
 * @throws Failure (data) for a type or size that we don't support
 */
export function keyTypeOf(key: KeyObject, what: string): KeyType {
  const details = key.asymmetricKeyDetails;
  const bits = Number(details?.modulusLength ?? 0);
  if (key.asymmetricKeyType === "rsa") {
    if (bits >= 2048) return { type: "rsa", bits };
    throw new Failure("data", `${what} holds an RSA key of ${bits} bits; at least 2048 are needed`);
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
        `${what} holds a key of an unsupported type (${details?.namedCurve ?? key.asymmetricKeyType})`,
      );
  }
}

/** The public key as DER SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7). */
export function publicKeyDer(key: KeyObject): Uint8Array<ArrayBuffer> {
  return new Uint8Array(nodeCrypto().createPublicKey(key).export({ type: "spki", format: "der" }));
}
