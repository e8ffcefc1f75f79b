import { describe, expect, test } from "bun:test";
import type { StoredSet } from "../../lib/host/certificate-set.ts";
import { standing } from "../../lib/tasks/due.ts";
import { type CertificateRequest, requestRecord } from "../../lib/tasks/request-record.ts";
import { readCertificates } from "../../lib/x509/certificate.ts";
import { bothAt } from "../support/clocks.ts";
import { opensslEcKey } from "../support/openssl.ts";
import { createCa } from "../support/set.ts";

const ca = createCa();
const key = opensslEcKey("P-256");
const names = { commonName: "it", organisations: [], dnsNames: [], ipAddresses: [] };
const asked: CertificateRequest = { signPath: "demo/pki/k8s/sign/kubelet", caChain: false, names };
const certificate = ca.sign(key, names);
const [leaf] = readCertificates(certificate, "it");
const files = { key, certificate, ca: ca.pem };
const seal = "11 1795571623602.6282 241 33152 0 0";
const request = requestRecord(asked, leaf, { files, keyType: { type: "ec", bits: 256 }, seal });
const broken = { ...files, ca: createCa().pem };
const brokenReasons = ["the CA file's CA did not sign it"];
const day = 86_400_000;

/** A set with a seal, as a look gives it, and how often it was read. */
function looked(
  seal: string | undefined,
  record: string | undefined,
  texts: Pick<StoredSet, "key" | "certificate" | "ca">,
) {
  let reads = 0;
  const read = (name: "key" | "certificate" | "ca") => {
    reads++;
    return texts[name];
  };
  const set: StoredSet = {
    get key() {
      return read("key");
    },
    get certificate() {
      return read("certificate");
    },
    get ca() {
      return read("ca");
    },
    ...(seal === undefined ? {} : { seal }),
    request: record,
  };
  return { set, reads: () => reads };
}

const after = (days: number) => bothAt(new Date(leaf.notBefore.getTime() + days * day));

describe("standing() of a set whose seal is the one that is noted", () => {
  test("says what one who reads it says, and reads nothing", async () => {
    const wishes: readonly CertificateRequest[] = [
      asked,
      { ...asked, keyType: { type: "ed25519", bits: 256 } },
      { ...asked, signPath: "demo/pki/k8s/sign/other" },
      { ...asked, names: { ...names, dnsNames: ["more"] } },
      { ...asked, caChain: true },
    ];
    for (const wish of wishes) {
      for (const days of [1, 25, 31]) {
        const { set, reads } = looked(seal, request, files);
        const { reasons, isUsable, match } = await standing(set, wish, after(days));
        const whole = await standing({ ...files, request: requestRecord(asked, leaf) }, wish, after(days));
        expect({ reasons, isUsable, match }).toEqual({
          reasons: whole.reasons,
          isUsable: whole.isUsable,
          match: whole.match,
        });
        expect(reads()).toBe(0);
      }
    }
  });

  test("gives the certificate to whom asks for more of it", async () => {
    const found = (await standing(looked(seal, request, files).set, asked, after(1))).certificate;
    expect(found?.commonName).toBe("it");
    expect(found?.x509.fingerprint256).toBe(leaf.x509.fingerprint256);
  });
});

describe("standing() reads a set", () => {
  const changed = (change: (record: { checked: Record<string, unknown> }) => void) => {
    const record = JSON.parse(request);
    change(record);
    return JSON.stringify(record);
  };
  test.each<[name: string, seal: string | undefined, request: string | undefined]>([
    ["with another seal", `${seal}1`, request],
    ["that was not looked at for one", undefined, request],
    ["whose record is missing", seal, undefined],
    ["whose record is torn", seal, request.slice(0, -40)],
    ["whose record ends before it says anything", seal, ""],
    ["whose record has no seal", seal, changed((it) => delete it.checked.seal)],
    ["that has none, of a record that has none", undefined, changed((it) => delete it.checked.seal)],
    ["whose record's seal is of another version", seal, changed((it) => (it.checked.seal = { version: 2 }))],
    ["whose record's times are of another version", seal, changed((it) => (it.checked.notAfter = "soon"))],
  ])("%s, and finds what is wrong with it", async (_, seal, record) => {
    const { set, reads } = looked(seal, record, broken);
    expect((await standing(set, asked, after(1))).reasons).toEqual(brokenReasons);
    expect(reads()).toBeGreaterThan(0);
    expect((await standing(looked(seal, record, files).set, asked, after(1))).reasons).toEqual([]);
  });

  test("and tells which file is missing", async () => {
    const { set } = looked(`${seal}1`, request, { ...files, ca: undefined });
    expect((await standing(set, asked, after(1))).reasons).toEqual(["ca missing"]);
  });
});
