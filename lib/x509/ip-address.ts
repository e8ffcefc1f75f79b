import { isIP } from "node:net";

/** The bytes of an address: 4 or 16. Undefined where the text is none (a zone is not part of one). */
export function ipBytes(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (isIP(text) === 4) return Uint8Array.from(text.split("."), Number);
  if (isIP(text) !== 6 || text.includes("%")) return undefined;
  const [head = "", tail = ""] = text.replace(/\d+(?:\.\d+){3}$/, hexGroups).split("::");
  const left = head.split(":").filter(Boolean);
  const right = tail.split(":").filter(Boolean);
  const zeros = Array<string>(8 - left.length - right.length).fill("0");
  const groups = [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16));
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

/** The IPv4 address at the end of an IPv6 one, as the two groups that it stands for. */
function hexGroups(dotted: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = dotted.split(".").map(Number);
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

/** One text for each address, however it was written: for comparing. Undefined where the text is none. */
export function normalIp(text: string): string | undefined {
  const bytes = ipBytes(text);
  // A server signs ::ffff:10.0.0.1 as 10.0.0.1.
  return bytes === undefined
    ? undefined
    : Buffer.from(bytes)
        .toString("hex")
        .replace(/^0{20}ffff/, "");
}
