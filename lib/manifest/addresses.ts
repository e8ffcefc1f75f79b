import { readFileSync } from "node:fs";

// As files: the runtime's list of interfaces needs a netlink socket, which a unit's sandbox refuses.
const kernelFolder = "/proc/self/net";

/**
 * This host's IPv4 addresses that others can reach, those on the network of the default route first.
 *
 * @param net the folder with the kernel's `route` and `fib_trie`
 */
export function ipv4Addresses(net: string = kernelFolder): string[] {
  const routes = rows(`${net}/route`).map(([iface, to, gateway, , , , , mask]) => ({
    iface,
    to: hex(to),
    gateway: hex(gateway),
    mask: hex(mask),
  }));
  const outward = routes.find(({ mask }) => mask === 0)?.iface;
  const networks = routes.filter(
    ({ iface, gateway, mask }) => iface === outward && gateway === 0 && mask !== 0,
  );
  const isOutward = (address: string) => {
    // As the kernel prints it: the first byte is the lowest.
    const number = address.split(".").reduceRight((sum, byte) => sum * 256 + Number(byte), 0);
    return networks.some(({ to, mask }) => (number & mask) >>> 0 === to);
  };
  const all = [...text(`${net}/fib_trie`).matchAll(/\|-- (\S+)\s+\/32 host LOCAL/g)].map(([, it = ""]) => it);
  const own = [...new Set(all)].filter((it) => !/^(127|169\.254)\./.test(it));
  return [...own.filter(isOutward), ...own.filter((it) => !isOutward(it))];
}

/**
 * This host's IPv6 addresses of global scope (RFC 4007) in their short form, without temporary ones (RFC 8981).
 *
 * @param net the folder with the kernel's `if_inet6`
 */
export function ipv6Addresses(net: string = kernelFolder): string[] {
  return rows(`${net}/if_inet6`)
    .filter(([, , , scope, flags]) => scope === "00" && (hex(flags) & 0x01) === 0)
    .map(([digits = ""]) => digits.replace(/(.{4})(?!$)/g, "$1:"))
    .map((address) => new URL(`http://[${address}]/`).hostname.slice(1, -1));
}

function hex(digits: string | undefined): number {
  return Number.parseInt(digits ?? "", 16);
}

function rows(path: string): string[][] {
  return text(path)
    .split("\n")
    .filter(Boolean)
    .map((line) => line.trim().split(/\s+/));
}

function text(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // another kernel, or a protocol that it does not have
  }
}
