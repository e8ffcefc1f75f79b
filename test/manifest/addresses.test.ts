import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ipv4Addresses, ipv6Addresses } from "../../lib/manifest/addresses.ts";
import { temporaryFolder } from "../support/folder.ts";

/** A folder as /proc/self/net. */
function network(files: Readonly<Record<string, string>>) {
  const folder = temporaryFolder();
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder.path, name), text);
  return folder;
}

const routeTitles = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT";
/** A default route by way of eth1, beside a network of each interface. */
const route = `${[
  routeTitles,
  "eth0 00000A0A 00000000 0001 0 0 0 00FFFFFF 0 0 0", // 10.10.0.0/24
  "eth1 00000000 010200C0 0003 0 0 0 00000000 0 0 0", // by 192.0.2.1
  "eth1 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0", // 192.0.2.0/24
  "eth1 0064A8C0 FE0200C0 0003 0 0 0 00FFFFFF 0 0 0", // 192.168.100.0/24 by 192.0.2.254
].join("\n")}\n`;

/** The kernel lists each address once in each of two tables. */
const table = (name: string, addresses: readonly string[]) =>
  `${name}:\n${addresses.map((it) => `           |-- ${it}\n              /32 host LOCAL\n`).join("")}`;
const trie = (...addresses: readonly string[]) => table("Main", addresses) + table("Local", addresses);

describe("ipv4Addresses()", () => {
  test("returns the address on the default route's network first, and each address once", () => {
    using net = network({ route, fib_trie: trie("10.10.0.7", "192.168.100.9", "192.0.2.200") });
    expect(ipv4Addresses(net.path)).toEqual(["192.0.2.200", "10.10.0.7", "192.168.100.9"]);
  });

  test("leaves out networks, broadcast, loopback and link-local addresses", () => {
    const others =
      "     |-- 192.0.2.0\n        /24 link UNICAST\n     |-- 192.0.2.255\n        /32 link BROADCAST\n" +
      "     |-- 127.0.0.0\n        /8 host LOCAL\n";
    const fib_trie = trie("127.0.0.1", "169.254.3.4", "192.0.2.200") + others;
    using net = network({ route, fib_trie });
    expect(ipv4Addresses(net.path)).toEqual(["192.0.2.200"]);
  });

  test("returns addresses in the kernel's order without a default route", () => {
    using net = network({ route: `${routeTitles}\n`, fib_trie: trie("10.10.0.7", "192.0.2.200") });
    expect(ipv4Addresses(net.path)).toEqual(["10.10.0.7", "192.0.2.200"]);
  });
});

describe("ipv6Addresses()", () => {
  test("returns addresses of global scope in short form, without temporary ones", () => {
    const if_inet6 = [
      "fd000000000000000000000000000abc 02 40 00 01     eth0", // temporary
      "20010db8000000000000000000000007 02 40 00 81     eth0", // temporary and permanent at once
      "fd000000000000000000000000000002 02 40 00 80     eth0",
      "20010db80000000000000000000000ff 02 40 00 00     eth0", // by the router, for a time
      "fe8000000000000000fc00fffe000001 02 40 20 80     eth0", // link-local
      "00000000000000000000000000000001 01 80 10 80       lo",
    ].join("\n");
    using net = network({ if_inet6: `${if_inet6}\n` });
    expect(ipv6Addresses(net.path)).toEqual(["fd00::2", "2001:db8::ff"]);
  });
});

test.each([["ipv4Addresses", ipv4Addresses] as const, ["ipv6Addresses", ipv6Addresses] as const])(
  "%s() gives none where the kernel shows no network",
  (_, addresses) => {
    using net = network({});
    expect(addresses(net.path)).toEqual([]);
  },
);
