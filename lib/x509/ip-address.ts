const byte = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const ipv4 = new RegExp(`^${byte}(?:\\.${byte}){3}$`);

/** Loads node:net, which most runs don't need. */
function isIpv6(text: string): boolean {
  return text.includes(":") && !text.includes("%") && process.getBuiltinModule("node:net").isIPv6(text);
}

/** The 4 or 16 bytes of an address; undefined when the text is not an address. Zones such as `%eth0` are refused. */
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

/** The last two groups of an IPv6 address, given as a dotted IPv4 address. */
function hexGroups(dotted: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = dotted.split(".").map(Number);
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

/** The same string for every spelling of an address, for comparing; undefined when the text is not an address. */
export function normalIp(text: string): string | undefined {
  const bytes = ipBytes(text);
  // Servers write ::ffff:10.0.0.1 into a certificate as 10.0.0.1.
  return bytes === undefined
    ? undefined
    : Buffer.from(bytes)
        .toString("hex")
        .replace(/^0{20}ffff/, "");
}

/** Turns a string made by `normalIp` back into an address as people write it. Returns any other string unchanged. */
export function ipText(normal: string): string {
  if (/^[0-9a-f]{8}$/.test(normal)) return Buffer.from(normal, "hex").join(".");
  if (!/^[0-9a-f]{32}$/.test(normal)) return normal;
  // The URL standard writes IPv6 addresses as RFC 5952 does.
  return new URL(`http://[${normal.match(/.{4}/g)?.join(":")}]`).hostname.slice(1, -1);
}
