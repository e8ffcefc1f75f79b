import { isIP } from "node:net";

/** The bytes of an address: 4 or 16. Undefined where the text is none (a zone is not part of one). */
export function ipBytes(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (isIP(text) === 4) return Uint8Array.from(text.split("."), Number);
  if (isIP(text) !== 6 || text.includes("%")) return undefined;
  // A URL writes the groups out in the shortest form, an embedded IPv4 address too.
  const short = new URL(`http://[${text}]/`).hostname.slice(1, -1);
  const [head = "", tail] = short.split("::");
  const left = head.split(":").filter(Boolean);
  const right = (tail ?? "").split(":").filter(Boolean);
  const zeros = Array<string>(8 - left.length - right.length).fill("0");
  const groups = [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16));
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

/** One text for each address, however it was written: for comparing. Undefined where the text is none. */
export function normalIp(text: string): string | undefined {
  const bytes = ipBytes(text);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString("hex");
}
