import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { writeFileSync } from "node:fs";
import {
  type Certificate,
  isFor,
  isSameCertificate,
  isSelfSigned,
  isSignedBy,
  issuerName,
  readCertificates,
} from "../../lib/x509/certificate.ts";
import { normalIp } from "../../lib/x509/ip-address.ts";
import { readKey } from "../../lib/x509/key.ts";
import { isPssSignedBy } from "../../lib/x509/pss.ts";
import { failureOf } from "../support/failure.ts";
import { temporaryFolder } from "../support/folder.ts";
import { openssl, opensslEcKey } from "../support/openssl.ts";

const keyPem = opensslEcKey("P-256");

function selfSignedPem(subject: string, ...more: string[]): string {
  return openssl(
    [
      "req",
      "-x509",
      "-utf8",
      "-key",
      "/dev/stdin",
      "-days",
      "30",
      "-subj",
      subject,
      "-multivalue-rdn",
      ...more,
    ],
    keyPem,
  );
}

function selfSigned(subject: string, ...more: string[]): Certificate {
  return readCertificates(selfSignedPem(subject, ...more), "it")[0];
}

function withSans(config: string): Certificate {
  using folder = temporaryFolder();
  const file = `${folder.path}/sans.cnf`;
  Bun.spawnSync([
    "sh",
    "-c",
    'printf %s "$0" > "$1"',
    `[req]\ndistinguished_name=d\n[d]\n[e]\nsubjectAltName=@s\n[s]\n${config}\n`,
    file,
  ]);
  return selfSigned("/CN=a", "-config", file, "-extensions", "e");
}

describe("readCertificates() reads", () => {
  test.each([
    ["two names", "/O=system:nodes/CN=system:node:a", "system:node:a", ["system:nodes"]],
    ["several organisations", "/O=one/O=two/CN=a", "a", ["one", "two"]],
    ["several organisations in one part, as Go writes them", "/O=one+O=two/CN=a", "a", ["one", "two"]],
    ["all names in one part", "/O=one+OU=x+CN=a", "a", ["one"]],
    ["special characters", '/O=a\\+O=b, c/CN="q\\\\;<>=#"', '"q\\;<>=#"', ["a+O=b, c"]],
    ["a leading # and blanks", "/O= lead and trail /CN=#1", "#1", [" lead and trail "]],
    ["another script", "/O=日本/CN=größe", "größe", ["日本"]],
    ["a line feed that looks like the start of another name", "/OU=x\nO=evil\nCN=root/CN=a", "a", []],
    ["a line feed in the name", "/CN=a\nb", "a\nb", []],
    ["no common name", "/O=one", "", ["one"]],
  ])("names: %s", (_name, subject, commonName, organisations) => {
    const read = selfSigned(subject);
    expect(read.commonName).toBe(commonName);
    expect(read.organisations).toEqual(organisations);
  });

  test.each([
    ["the common name", "/O=one/CN=a, CA", "a, CA"],
    ["the whole name if there is no common name", "/O=one/OU=two", "O=one, OU=two"],
  ])("the issuer: %s", (_name, subject, name) => {
    expect(issuerName(selfSigned(subject))).toBe(name);
  });

  test("host names and addresses", () => {
    const read = withSans(
      "DNS.1=a.example.com\nDNS.2=*.b.example\nIP.1=10.0.0.1\nIP.2=fd00::1\nIP.3=::ffff:10.0.0.1\nemail.1=x@y.z",
    );
    expect(read.dnsNames).toEqual(["a.example.com", "*.b.example"]);
    expect(read.ipAddresses).toEqual(
      ["10.0.0.1", "fd00::1", "::ffff:10.0.0.1"].map((it) => normalIp(it) ?? ""),
    );
  });

  test("a host name that looks like several", () => {
    const read = withSans(
      'DNS.1="a, DNS:evil.example"\nDNS.2="q\\"uote"\nURI.1="http://x/, DNS:other.example"\nDNS.3=b',
    );
    expect(read.dnsNames).toEqual(["a, DNS:evil.example", 'q"uote', "b"]);
    expect(read.ipAddresses).toEqual([]);
  });

  test("a certificate without other names", () => {
    const read = selfSigned("/CN=a");
    expect([read.dnsNames, read.ipAddresses]).toEqual([[], []]);
  });

  test("the times when validity begins and ends", () => {
    const { notBefore, notAfter } = selfSigned("/CN=a");
    expect(notAfter.getTime() - notBefore.getTime()).toBe(30 * 86_400_000);
    expect(Math.abs(notBefore.getTime() - Date.now())).toBeLessThan(60_000);
  });

  test("the certificates of a chain in order, and skips a key", () => {
    const [one, two] = [selfSignedPem("/CN=one"), selfSignedPem("/CN=two")];
    const read = readCertificates(`${keyPem}${one}between\n${two}`, "it");
    expect(read.map(({ commonName }) => commonName)).toEqual(["one", "two"]);
    expect(read.map(({ pem }) => pem)).toEqual([one, two]);
  });

  test.each([
    ["an empty text", "", "holds no certificate in PEM"],
    ["only a key", keyPem, "holds no certificate in PEM"],
    [
      "a certificate that is cut off",
      selfSignedPem("/CN=a").slice(0, 200),
      "holds a PEM block that is cut off",
    ],
    [
      "a block that is not a certificate",
      keyPem.replaceAll("PRIVATE KEY", "CERTIFICATE"),
      "holds a certificate that can't be read",
    ],
  ])("and refuses %s", async (_name, text, words) => {
    const failure = await failureOf(() => readCertificates(text, "/etc/a.pem"));
    expect(failure.kind).toBe("data");
    expect(failure.message).toBe(`/etc/a.pem ${words}`);
  });
});

describe("isFor()", () => {
  test("is true only for the certificate's own key", async () => {
    const own = await readKey(keyPem, "it");
    const other = await readKey(opensslEcKey("P-256"), "it");
    const certificate = selfSigned("/CN=a");
    expect(isFor(certificate, own.key)).toBe(true);
    expect(isFor(certificate, other.key)).toBe(false);
  });

  test("is true for the same key in another format", async () => {
    const certificate = selfSigned("/CN=a");
    for (const form of [["ec"], ["ec", "-no_public"], ["pkey", "-ec_conv_form", "compressed"]]) {
      expect(isFor(certificate, (await readKey(openssl(form, keyPem), "it")).key)).toBe(true);
    }
  });
});

describe("isSignedBy()", () => {
  test.each(["sha256", "sha384", "sha512"])("knows a signature by RSASSA-PSS with %s", (hash) => {
    const make = () => {
      const flags = ["-newkey", "rsa:2048", "-sigopt", "rsa_padding_mode:pss", `-${hash}`, "-nodes"];
      const pem = openssl([
        "req",
        "-x509",
        ...flags,
        "-keyout",
        "/dev/null",
        "-days",
        "2",
        "-subj",
        "/CN=PSS",
      ]);
      return { x509: new X509Certificate(pem) };
    };
    const ca = make();
    expect(isSignedBy(ca, ca)).toBe(true);
    expect(isPssSignedBy(ca.x509, make().x509.publicKey)).toBe(false);
  });

  // Without key identifiers. With them, two CAs of the same name differ before any signature is checked.
  using folder = temporaryFolder();
  const at = (name: string) => `${folder.path}/${name}`;
  const make = (name: string, subject: string, key: string, ...signer: string[]) => {
    writeFileSync(at("plain.cnf"), "[req]\ndistinguished_name=d\n[d]\n");
    writeFileSync(at(`${name}.key`), key, { mode: 0o600 });
    const request = [
      "req",
      "-x509",
      "-config",
      at("plain.cnf"),
      "-key",
      at(`${name}.key`),
      "-days",
      "1",
      "-subj",
      subject,
    ];
    const pem = openssl([...request, ...signer]);
    writeFileSync(at(`${name}.pem`), pem);
    return readCertificates(pem, "it")[0];
  };
  const caKey = opensslEcKey("P-256");
  const ca = make("ca", "/CN=ca", caKey);
  const namesake = make("namesake", "/CN=ca", opensslEcKey("P-256"));
  const renamed = make("renamed", "/CN=another", caKey);
  const leaf = make("leaf", "/CN=leaf", opensslEcKey("P-256"), "-CA", at("ca.pem"), "-CAkey", at("ca.key"));

  test("is true for the CA whose key signed", () => {
    expect(isSignedBy(leaf, ca)).toBe(true);
    expect(isSignedBy(ca, leaf)).toBe(false);
    expect(isSignedBy(leaf, leaf)).toBe(false);
  });

  test("is false for another CA of the same name", () => {
    expect(namesake.commonName).toBe(ca.commonName);
    expect(isSignedBy(leaf, namesake)).toBe(false);
  });

  test("is false for a CA with the same key and another name", () => {
    expect(isSignedBy(leaf, renamed)).toBe(false);
  });

  test("finds the root of a chain", () => {
    expect([ca, namesake, renamed, leaf].map(isSelfSigned)).toEqual([true, true, true, false]);
  });

  test("isSameCertificate() compares whole certificates", () => {
    const again = readCertificates(`\n${ca.pem.replaceAll("\n", "\r\n")}`, "it")[0];
    expect(isSameCertificate(ca, again)).toBe(true);
    expect(isSameCertificate(ca, namesake)).toBe(false);
  });
});
