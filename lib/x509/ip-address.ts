const byte = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const ipv4 = new RegExp(`^${byte}(?:\\.${byte}){3}$`);

/** Loads node:net, which the names of most hosts don't need. */
function isIpv6(text: string): boolean {
  return text.includes(":") && !text.includes("%") && process.getBuiltinModule("node:net").isIPv6(text);
}

/** The bytes of an address: 4 or 16. Undefined where the text is none (a zone is not part of one). */
export function ipBytes(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (ipv4.test(text)) return Uint8Array.from(text.split("."), Number);
  if (!isIpv6(text)) return undefined;
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

/** An address as people write it, of what `normalIp` gave; another text as it is. */
export function ipText(normal: string): string {
  if (/^[0-9a-f]{8}$/.test(normal)) return Buffer.from(normal, "hex").join(".");
  if (!/^[0-9a-f]{32}$/.test(normal)) return normal;
  // The URL standard's serializer is RFC 5952's.
  return new URL(`http://[${normal.match(/.{4}/g)?.join(":")}]`).hostname.slice(1, -1);
}
