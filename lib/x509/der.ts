// Writes DER, the encoding of ASN.1 that signatures cover: a tag, the content's length, the content.
// See X.690, sections 8.1 (tags and lengths) and 10.1 (the shortest form of a length).

import { Failure } from "../failure.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Tags of the universal types: X.680, section 8.4; a SEQUENCE and a SET have the bit for constructed types. */
const tags = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  sequence: 0x30,
  set: 0x31,
} as const;

/** A value with this tag; its content is the parts, joined. */
export function tagged(tag: number, ...parts: readonly Uint8Array[]): Bytes {
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  const head = [tag, ...lengthBytes(size)];
  const value = new Uint8Array(head.length + size);
  value.set(head);
  let at = head.length;
  for (const part of parts) {
    value.set(part, at);
    at += part.length;
  }
  return value;
}

function lengthBytes(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest >>>= 8) bytes.unshift(rest & 0xff);
  return [0x80 | bytes.length, ...bytes];
}

export function sequence(...values: readonly Uint8Array[]): Bytes {
  return tagged(tags.sequence, ...values);
}

/** A SET OF one value: several would have to be sorted. */
export function setOf(value: Uint8Array): Bytes {
  return tagged(tags.set, value);
}

/**
 * @param value from 0 to 127
 * @throws Failure (internal) for any other
 */
export function smallInteger(value: number): Bytes {
  const isSmall = Number.isInteger(value) && value >= 0 && value <= 127;
  if (!isSmall) throw new Failure("internal", `${value} is no integer from 0 to 127`);
  return tagged(tags.integer, Uint8Array.of(value));
}

export function utf8String(text: string): Bytes {
  return tagged(tags.utf8String, new TextEncoder().encode(text));
}

export function octetString(content: Uint8Array): Bytes {
  return tagged(tags.octetString, content);
}

/** A BIT STRING of whole bytes: before them is the number of bits that don't count. */
export function bitString(content: Uint8Array): Bytes {
  return tagged(tags.bitString, Uint8Array.of(0), content);
}

export function nullValue(): Bytes {
  return tagged(tags.null);
}

/** @param id `2.5.4.3`: X.690, section 8.19 */
export function objectIdentifier(id: string): Bytes {
  const [first = 0, second = 0, ...rest] = id.split(".").map(Number);
  const bytes: number[] = [];
  for (const part of [first * 40 + second, ...rest]) {
    const digits = [part & 0x7f];
    for (let high = part >>> 7; high > 0; high >>>= 7) digits.unshift(0x80 | (high & 0x7f));
    bytes.push(...digits);
  }
  return tagged(tags.objectIdentifier, Uint8Array.from(bytes));
}
