import { describe, expect, test } from "bun:test";
import type { SetFiles } from "../../lib/host/certificate-set.ts";
import { type CertificateRequest, requestRecord } from "../../lib/renewal/request.ts";
import { readCertificates } from "../../lib/x509/certificate.ts";
import { bothAt } from "../support/clocks.ts";
import { opensslEcKey } from "../support/openssl.ts";
import { createCa } from "../support/set.ts";
import { assessTexts, type Texts } from "../support/stored.ts";

const ca = createCa();
const key = opensslEcKey("P-256");
const names = { commonName: "it", organisations: [], dnsNames: [], ipAddresses: [] };
const asked: CertificateRequest = { signPath: "demo/pki/k8s/sign/kubelet", caChain: false, names };
const certificate = ca.sign(key, names);
const [leaf] = readCertificates(certificate, "it");
const real = { key, certificate, ca: ca.pem };
const p256 = { type: "ec", bits: 256 } as const;

/** A set whose record says that these files were checked when they were put there. */
function recorded(files: SetFiles): Texts {
  return { ...files, request: requestRecord(asked, leaf, { files, keyType: p256 }) };
}

const day = 86_400_000;
const reasonsAt = async (set: Texts, days: number, request = asked) =>
  (await assessTexts(set, request, bothAt(new Date(leaf.notBefore.getTime() + days * day)))).reasons;

describe("inspect() of files that are unchanged since they were checked", () => {
  test("does not parse them again", async () => {
    const unreadable = recorded({ key: "no key", certificate: "no certificate", ca: "no CA" });
    expect(await reasonsAt(unreadable, 1)).toEqual([]);
    expect(await reasonsAt(unreadable, 25)).toEqual(["less than a third of its lifetime is left"]);
    expect(await reasonsAt(unreadable, 31)).toEqual(["it has expired"]);
  });

  test("says the same as if they were parsed", async () => {
    const requests: readonly CertificateRequest[] = [
      asked,
      { ...asked, keyType: { type: "ed25519", bits: 256 } },
      { ...asked, keyType: p256 },
      { ...asked, signPath: "demo/pki/k8s/sign/other" },
      { ...asked, names: { ...names, dnsNames: ["more"] } },
    ];
    const read: Texts = { ...real, request: requestRecord(asked, leaf) };
    for (const request of requests) {
      for (const days of [1, 25, 31]) {
        expect(await reasonsAt(recorded(real), days, request)).toEqual(await reasonsAt(read, days, request));
      }
    }
  });

  test("reads the certificate when more than its times is asked for", async () => {
    const found = (await assessTexts(recorded(real), asked, bothAt())).certificate;
    for (const part of [
      "pem",
      "commonName",
      "organisations",
      "dnsNames",
      "ipAddresses",
      "notBefore",
      "notAfter",
    ] as const) {
      expect(found?.[part]).toEqual(leaf[part]);
    }
    expect(found?.x509.serialNumber).toBe(leaf.x509.serialNumber);
  });
});

describe("inspect() parses files again", () => {
  const other = opensslEcKey("P-256");
  test.each([
    ["another key", { key: other }, ["the key belongs to another certificate"]],
    ["another CA", { ca: createCa().pem }, ["the CA file's CA did not sign it"]],
    [
      "another certificate",
      { certificate: ca.sign(other, names) },
      ["the key belongs to another certificate"],
    ],
    [
      "a broken certificate",
      { certificate: certificate.slice(0, -40) },
      [expect.stringContaining("cut off")],
    ],
  ])("that differ from those that were checked: %s", async (_, files, reasons) => {
    expect(await reasonsAt({ ...recorded(real), ...files }, 1)).toEqual(reasons);
  });

  test.each([
    ["without times", { notBefore: undefined }],
    ["with invalid times", { notAfter: "soon" }],
    ["without a key type", { keyType: undefined }],
  ])("for a record %s", async (_, change) => {
    const files = { key: "no key", certificate: "no certificate", ca: "no CA" };
    const record = JSON.parse(recorded(files).request ?? "");
    const request = JSON.stringify({ ...record, checked: { ...record.checked, ...change } });
    expect(await reasonsAt({ ...files, request }, 1)).toEqual(["the key holds no private key in PEM"]);
  });
});
