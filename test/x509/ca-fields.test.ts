import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { writeFileSync } from "node:fs";
import { commonNameSubject, readCaFields } from "../../lib/x509/ca-fields.ts";
import { makeIdentity } from "../support/chain.ts";
import { temporaryFolder } from "../support/folder.ts";
import { openssl, opensslEcKey } from "../support/openssl.ts";

const der = (pem: string) => new Uint8Array(new X509Certificate(pem).raw);

function selfSigned(...flags: string[]): string {
  return openssl(["req", "-x509", "-key", "/dev/stdin", "-days", "2", ...flags], opensslEcKey("P-256"));
}

describe("readCaFields()", () => {
  test.each([
    ["CA:TRUE", undefined],
    ["CA:TRUE,pathlen:0", 0],
    ["CA:TRUE,pathlen:3", 3],
  ])("finds the limit of %s", (constraints, pathLength) => {
    using folder = temporaryFolder();
    const extensions = [`basicConstraints=critical,${constraints}`, "keyUsage=critical,keyCertSign"];
    const { cert } = makeIdentity(folder.path, "ca", { extensions });
    expect(readCaFields(der(cert)).pathLength).toBe(pathLength);
  });

  test("finds no limit in a certificate without extensions", () => {
    using folder = temporaryFolder();
    expect(
      readCaFields(der(makeIdentity(folder.path, "ca", { extensions: [] }).cert)).pathLength,
    ).toBeUndefined();
  });

  test("finds the identifier of the key, the server's one for it, and limits of names", () => {
    using folder = temporaryFolder();
    const fields = (...more: string[]) => {
      const extensions = ["basicConstraints=critical,CA:TRUE", ...more];
      return readCaFields(der(makeIdentity(folder.path, "ca", { extensions }).cert));
    };
    const plain = fields("subjectKeyIdentifier=hash");
    expect([plain.keyIdentifier, plain.limitsNames]).toEqual([plain.keyHash, false]);
    const other = fields("subjectKeyIdentifier=0102", "nameConstraints=critical,permitted;DNS:example.com");
    expect([other.keyIdentifier, other.limitsNames]).toEqual(["0102", true]);
    expect(other.keyHash).toMatch(/^[0-9a-f]{40}$/);
  });

  test("refuses anything else", () => {
    for (const bytes of [[], [0x30, 0], [0x30, 0x80], [4, 1, 1], [0x30, 2, 0x30, 0]]) {
      expect(() => readCaFields(Uint8Array.from(bytes))).toThrow("a CA's certificate can't be read");
    }
  });
});

describe("commonNameSubject()", () => {
  test("is what the certificate has whose text was written as a PrintableString", () => {
    using folder = temporaryFolder();
    const file = `${folder.path}/cnf`;
    writeFileSync(file, "[req]\nstring_mask=pkix\ndistinguished_name=dn\n[dn]\n");
    const pem = selfSigned("-config", file, "-subj", "/CN=Kubernetes demo\\/k8s CA");
    expect(Buffer.compare(readCaFields(der(pem)).subject, commonNameSubject("Kubernetes demo/k8s CA"))).toBe(
      0,
    );
  });

  test("differs for a UTF8String of the same text, and for further attributes", () => {
    for (const subject of ["/CN=Kubernetes CA", "/O=x/CN=Kubernetes CA"]) {
      const { subject: found } = readCaFields(der(selfSigned("-subj", subject)));
      expect(Buffer.compare(found, commonNameSubject("Kubernetes CA"))).not.toBe(0);
    }
  });

  test("is a UTF8String for a name that a PrintableString can't hold", () => {
    const { subject } = readCaFields(der(selfSigned("-utf8", "-subj", "/CN=Zürich")));
    expect(Buffer.compare(subject, commonNameSubject("Zürich"))).toBe(0);
  });
});
