import { Failure } from "../failure.ts";

export interface PemBlock {
  /** `CERTIFICATE`, `PRIVATE KEY`, … */
  readonly label: string;
  readonly der: Uint8Array<ArrayBuffer>;
}

const block = /-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END \1-----/g;

/**
 * The blocks in a PEM text. Text between the blocks is ignored.
 *
 * @param what names the text in messages
 * @throws Failure (data) when a block's base64 is broken, or a block has no end
 * @see RFC 7468, sections 2 and 3
 */
export function decodePem(text: string, what: string): readonly PemBlock[] {
  const blocks = [...text.matchAll(block)].map(([, label = "", body = ""]) => ({
    label,
    der: decodeBase64(body, what),
  }));
  const begun = text.split("-----BEGIN ").length - 1;
  if (begun !== blocks.length) throw new Failure("data", `${what} holds a PEM block that is cut off`);
  return blocks;
}

/** Whether two PEM texts hold the same blocks, in any order. Text between the blocks is ignored. */
export function hasSameBlocks(one: string, other: string): boolean {
  const blocksOf = (text: string) => [...text.matchAll(block)].map(([whole]) => whole).toSorted();
  return blocksOf(one).join() === blocksOf(other).join();
}

function decodeBase64(body: string, what: string): Uint8Array<ArrayBuffer> {
  const packed = body.replace(/\s+/g, "");
  // The decoder accepts missing padding. A key must never be read with a part missing.
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(packed) || packed === "") {
    throw new Failure("data", `${what} holds a PEM block with broken base64`);
  }
  return Uint8Array.fromBase64(packed);
}

/**
 * One PEM block, with a line feed at its end.
 *
 * @see RFC 7468, section 2
 */
export function encodePem(label: string, der: Uint8Array): string {
  const lines = der.toBase64().match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}
