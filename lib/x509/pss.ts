import type { KeyObject, X509Certificate } from "node:crypto";
import { nodeCrypto } from "./node-crypto.ts";

/** OBJECT IDENTIFIER 1.2.840.113549.1.1.10, in DER. */
const rsassaPss = Buffer.from("06092a864886f70d01010a", "hex");

/**
 * Whether a key has signed a certificate with RSASSA-PSS, which the runtime's own check does not know.
 *
 * @param certificate one that the runtime has read, so that its DER is whole
 * @see RFC 4055, section 3
 */
export function isPssSignedBy({ raw }: Pick<X509Certificate, "raw">, publicKey: KeyObject): boolean {
  if (publicKey.asymmetricKeyType !== "rsa") return false;
  const whole = elementAt(raw, 0);
  const signed = elementAt(raw, whole.content);
  const algorithm = elementAt(raw, signed.end);
  if (!raw.subarray(algorithm.content, algorithm.end).subarray(0, rsassaPss.length).equals(rsassaPss))
    return false;
  const bits = elementAt(raw, algorithm.end);
  // A BIT STRING begins with the number of bits that it leaves unused.
  const signature = raw.subarray(bits.content + 1, bits.end);
  const { constants, verify } = nodeCrypto();
  const key = {
    key: publicKey,
    padding: constants.RSA_PKCS1_PSS_PADDING,
    saltLength: constants.RSA_PSS_SALTLEN_AUTO,
  };
  const content = raw.subarray(whole.content, signed.end);
  return ["sha256", "sha384", "sha512"].some((hash) => verify(hash, content, key, signature));
}

/** Where the content of the DER element at a place begins and ends. */
function elementAt(der: Buffer, start: number): { readonly content: number; readonly end: number } {
  const first = der.readUInt8(start + 1);
  if (first < 0x80) return { content: start + 2, end: start + 2 + first };
  const size = first - 0x80;
  const content = start + 2 + size;
  return { content, end: content + der.readUIntBE(start + 2, size) };
}
