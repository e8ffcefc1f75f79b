import { describe, expect, test } from "bun:test";
import { checkNames, type Names } from "../../lib/x509/names.ts";
import { failureOf } from "../support/failure.ts";

const good: Names = {
  commonName: "system:node:worker-1",
  organisations: ["system:nodes", "Größe & Söhne"],
  dnsNames: ["worker-1.example.com", "*.example.com", "xn--mnchen-3ya.example", "worker_1"],
  ipAddresses: ["10.0.0.1", "fd00::1", "::ffff:10.0.0.1"],
};

describe("checkNames()", () => {
  test("returns valid names unchanged", () => {
    expect(checkNames(good)).toEqual(good);
    expect(checkNames({ ...good, commonName: "日".repeat(64) }).commonName).toHaveLength(64);
    const node = `system:node:${"n".repeat(63)}.${"a".repeat(63)}.example.com`;
    expect(checkNames({ ...good, commonName: node }).commonName).toBe(node);
    const host = `${"a".repeat(63)}.${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(61)}`;
    expect(checkNames({ ...good, dnsNames: [host] }).dnsNames).toEqual([host]);
  });

  const bad: ReadonlyArray<readonly [name: string, names: Partial<Names>, quoted: string, what: string]> = [
    ["an empty common name", { commonName: "" }, '""', "common name"],
    ["a blank common name", { commonName: " \t" }, '" \\t"', "common name"],
    ["a common name of 266 characters", { commonName: "a".repeat(266) }, "a".repeat(266), "common name"],
    ["a line feed in the common name", { commonName: "a\nCN=root" }, '"a\\nCN=root"', "common name"],
    ["a zero in the common name", { commonName: "a\0.example" }, '"a\\u0000.example"', "common name"],
    ["an escape sequence in the common name", { commonName: "\x1b[2J" }, '"\\u001b[2J"', "common name"],
    ["an empty organisation", { organisations: ["a", ""] }, '""', "organisation"],
    ["a long organisation", { organisations: ["o".repeat(65)] }, "o".repeat(65), "organisation"],
    ["a line feed in an organisation", { organisations: ["a\nb"] }, '"a\\nb"', "organisation"],
    ["an empty host name", { dnsNames: [""] }, '""', "host name"],
    ["a host name with a blank", { dnsNames: ["a b"] }, '"a b"', "host name"],
    ["a host name with a line feed", { dnsNames: ["a\nb"] }, '"a\\nb"', "host name"],
    ["a host name in another script", { dnsNames: ["münchen.example"] }, "münchen.example", "host name"],
    ["a host name of 254 characters", { dnsNames: ["a".repeat(254)] }, "a".repeat(254), "host name"],
    ["a comma in a host name", { dnsNames: ["a,DNS:b"] }, '"a,DNS:b"', "host name"],
    ["a URL as a host name", { dnsNames: ["https://a"] }, '"https://a"', "host name"],
    ["an IPv4 address as a host name", { dnsNames: ["10.0.0.1"] }, '"10.0.0.1"', "host name"],
    ["an IPv6 address as a host name", { dnsNames: ["::1"] }, '"::1"', "host name"],
    ["an IPv4 address with a dot at its end", { dnsNames: ["10.0.0.1."] }, '"10.0.0.1"', "host name"],
    [
      "one in another script with a dot at its end",
      { dnsNames: ["münchen.example."] },
      "münchen.example",
      "host name",
    ],
    ["an e-mail address as a host name", { dnsNames: ["ops@example.com"] }, '"ops@example.com"', "host name"],
    ["an empty address", { ipAddresses: [""] }, '""', "IP address"],
    ["a host name as an address", { ipAddresses: ["localhost"] }, '"localhost"', "IP address"],
    ["an address with a zone", { ipAddresses: ["fe80::1%eth0"] }, '"fe80::1%eth0"', "IP address"],
    ["an address with a prefix length", { ipAddresses: ["10.0.0.0/8"] }, '"10.0.0.0/8"', "IP address"],
    ["an address with a port", { ipAddresses: ["10.0.0.1:443"] }, '"10.0.0.1:443"', "IP address"],
  ];
  test.each(bad)("refuses %s, and quotes it on one line", async (_name, names, quoted, what) => {
    const failure = await failureOf(() => checkNames({ ...good, ...names }));
    expect(failure.kind).toBe("usage");
    expect(failure.message).toContain(quoted);
    expect(failure.message).toEndWith(`can't be the ${what} of a certificate`);
    expect(failure.message).not.toMatch(/\p{Cc}/u);
    expect(failure.hint).toBeString();
  });
});

describe("checkNames() corrects", () => {
  test.each([
    ["node-1.example.com.", "node-1.example.com"],
    ["localhost.", "localhost"],
    ["*.example.com.", "*.example.com"],
    ["Node_1.Example.com", "Node_1.Example.com"],
    ["a..", "a.."],
  ])("the host name %s", (name, right) => {
    expect(checkNames({ ...good, dnsNames: [name] }).dnsNames).toEqual([right]);
  });

  test.each([
    ["etcd-1.example.com.", "etcd-1.example.com"],
    ["system:node:IP-10-0-0-7", "system:node:ip-10-0-0-7"],
    ["system:node:Node-1.Example.com.", "system:node:node-1.example.com"],
    ["System:Node:A", "System:Node:A"],
    ["Example Inc.", "Example Inc."],
    ["node-1.", "node-1"],
    ["Etcd-1.Example.com", "Etcd-1.Example.com"],
    ["ops@example.com", "ops@example.com"],
    ["system:kube-scheduler", "system:kube-scheduler"],
  ])("the common name %s", (commonName, right) => {
    expect(checkNames({ ...good, commonName }).commonName).toBe(right);
  });

  test.each([
    ["10.0.0.5", [], ["10.0.0.5"]],
    ["10.0.0.5", ["127.0.0.1"], ["127.0.0.1", "10.0.0.5"]],
    ["10.0.0.5", ["10.0.0.5"], ["10.0.0.5"]],
    ["fd00:0::5", ["fd00::5"], ["fd00::5"]],
    ["fd00::5", [], ["fd00::5"]],
    ["10.0.0.5.example.com", [], []],
  ])("the IP SANs for the common name %s beside %j", (commonName, ipAddresses, right) => {
    expect(checkNames({ ...good, commonName, ipAddresses }).ipAddresses).toEqual([...right]);
  });
});
