import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ipBytes, ipText, normalIp } from "../../lib/x509/ip-address.ts";

describe("ipBytes()", () => {
  test.each([
    ["10.0.0.1", "0a000001"],
    ["255.255.255.255", "ffffffff"],
    ["::", "00".repeat(16)],
    ["::1", `${"00".repeat(15)}01`],
    ["fd00::1", `fd00${"00".repeat(13)}01`],
    ["FD00:0:0:0:0:0:0:1", `fd00${"00".repeat(13)}01`],
    ["2001:db8::", `20010db8${"00".repeat(12)}`],
    ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
    ["1::8", `0001${"00".repeat(13)}08`],
    ["::ffff:10.0.0.1", `${"00".repeat(10)}ffff0a000001`],
    // The runtime's URL parser refuses this one.
    ["::0:0:0:0:0.0.0.1", `${"00".repeat(15)}01`],
    ["64:ff9b::192.0.2.1", `0064ff9b${"00".repeat(8)}c0000201`],
  ])("%s", (text, hex) => {
    expect(Buffer.from(ipBytes(text) ?? []).toString("hex")).toBe(hex);
  });

  test.each([
    "",
    " 10.0.0.1",
    "10.0.0.1 ",
    "10.0.0",
    "10.0.0.256",
    "010.0.0.1",
    "10.0.0.1/24",
    "fd00::1/64",
    "fe80::1%eth0",
    "[::1]",
    "::1::",
    "1:2:3:4:5:6:7",
    "1:2:3:4::5:6:7:8",
    "1:2:3:4:5:6:7:8:9",
    "::1.2.3",
    "0x7f.1",
    "localhost",
  ])("returns undefined for %j", (text) => {
    expect(ipBytes(text)).toBeUndefined();
    expect(normalIp(text)).toBeUndefined();
  });
});

describe("normalIp()", () => {
  test("is the same for every spelling of an address", () => {
    const groups = fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(groups, (words) => {
        const hex = words.map((word) => word.toString(16));
        const full = words.map((word) => word.toString(16).padStart(4, "0")).join(":");
        const dotted = [words[6] ?? 0, words[7] ?? 0].flatMap((word) => [word >> 8, word & 0xff]).join(".");
        const zeros = hex.findIndex((word, at) => word === "0" && hex[at + 1] === "0");
        const shorter =
          zeros === -1 ? [] : [`${hex.slice(0, zeros).join(":")}::${hex.slice(zeros + 2).join(":")}`];
        const ways = [
          hex.join(":"),
          full,
          full.toUpperCase(),
          `${hex.slice(0, 6).join(":")}:${dotted}`,
          ...shorter,
        ];
        for (const way of ways) expect(normalIp(way)).toBe(full.replaceAll(":", ""));
      }),
    );
  });

  test("differs for different addresses, also between IPv4 and IPv6", () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.ipV6(), (a, b) => {
        expect(normalIp(a)).toBe(
          a
            .split(".")
            .map((part) => Number(part).toString(16).padStart(2, "0"))
            .join(""),
        );
        expect(normalIp(b)).toMatch(/^[0-9a-f]{32}$/);
        expect(normalIp(`::${a}`)).not.toBe(normalIp(a));
        // A server signs this form.
        expect(normalIp(`::ffff:${a}`)).toBe(normalIp(a));
      }),
    );
  });
});

describe("ipText()", () => {
  test.each([
    ["10.0.0.1", "10.0.0.1"],
    ["FD00:0:0:0:0:0:0:1", "fd00::1"],
    ["::", "::"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["::ffff:10.0.0.1", "10.0.0.1"],
  ])("writes %s as %s", (address, text) => {
    expect(ipText(normalIp(address) ?? "")).toBe(text);
  });

  test("writes addresses that are read back as the same ones", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
        const normal = normalIp(address) ?? "";
        expect(normalIp(ipText(normal))).toBe(normal);
      }),
    );
  });

  test.each(["", "localhost", "0a00", "0A000001"])("returns %j unchanged", (text) => {
    expect(ipText(text)).toBe(text);
  });
});
