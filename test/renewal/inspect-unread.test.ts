import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { lookAtSet } from "../../lib/host/certificate-set.ts";
import { lockPlace } from "../../lib/host/certificate-write.ts";
import { assess } from "../../lib/renewal/decide.ts";
import { inspect } from "../../lib/renewal/inspect.ts";
import { type CertificateRequest, requestRecord } from "../../lib/renewal/request.ts";
import { callPolicy } from "../../lib/renewal/when-due.ts";
import { readCertificates } from "../../lib/x509/certificate.ts";
import { bothAt } from "../support/clocks.ts";
import { temporaryFolder } from "../support/folder.ts";
import { opensslEcKey } from "../support/openssl.ts";
import { createCa } from "../support/set.ts";
import { assessTexts } from "../support/stored.ts";

const ca = createCa();
const key = opensslEcKey("P-256");
const names = { commonName: "it", organisations: [], dnsNames: [], ipAddresses: [] };
const asked: CertificateRequest = { signPath: "demo/pki/k8s/sign/kubelet", caChain: false, names };
const certificate = ca.sign(key, names);
const [leaf] = readCertificates(certificate, "it");
const files = { key, certificate, ca: ca.pem };
const keyType = { type: "ec", bits: 256 } as const;
const policy = callPolicy("never");
const day = 86_400_000;
const after = (days: number) => bothAt(new Date(leaf.notBefore.getTime() + days * day));

/**
 * Puts a set at a destination.
 *
 * @param texts of the files; the record says that the right ones were checked
 * @param change what is done to the record, as JSON, before it is written
 */
async function putSet(
  destination: string,
  texts: typeof files,
  change = (record: string): string => record,
): Promise<void> {
  using place = await lockPlace(destination, undefined, { signal: AbortSignal.timeout(10_000) });
  const request = (fingerprint: string | undefined) =>
    change(requestRecord(asked, leaf, { files, keyType, fingerprint }));
  place.replace({ ...texts, request }, {}, []);
}

async function reasonsAt(destination: string, days: number, request = asked) {
  const inspected = await inspect(destination, lookAtSet(destination));
  return assess(inspected, request, policy, after(days)).reasons;
}

// The files say that they belong to another CA, so whether they were read shows in what is said of them.
const broken = { ...files, ca: createCa().pem };

describe("inspect() of a set with the fingerprint that its record has", () => {
  test("says the same as after reading the files", async () => {
    using root = temporaryFolder();
    const destination = join(root.path, "it");
    await putSet(destination, files);
    const requests: readonly CertificateRequest[] = [
      asked,
      { ...asked, keyType: { type: "ed25519", bits: 256 } },
      { ...asked, signPath: "demo/pki/k8s/sign/other" },
      { ...asked, names: { ...names, dnsNames: ["more"] } },
      { ...asked, caChain: true },
    ];
    for (const request of requests) {
      for (const days of [1, 25, 31]) {
        const read = { ...files, request: requestRecord(asked, leaf) };
        expect(await reasonsAt(destination, days, request)).toEqual([
          ...(await assessTexts(read, request, after(days))).reasons,
        ]);
      }
    }
  });

  test("believes the record, and does not read the files", async () => {
    using root = temporaryFolder();
    const destination = join(root.path, "it");
    await putSet(destination, broken);
    expect(await reasonsAt(destination, 1)).toEqual([]);
  });

  test("reads the certificate once somebody asks for more than its times", async () => {
    using root = temporaryFolder();
    const destination = join(root.path, "it");
    await putSet(destination, files);
    const inspected = await inspect(destination, lookAtSet(destination));
    if (inspected.state !== "whole") throw new Error("it is no whole set");
    expect(inspected.certificate.commonName).toBe("it");
    expect(inspected.certificate.x509.fingerprint256).toBe(leaf.x509.fingerprint256);
  });
});

describe("inspect() reads the files of a set", () => {
  const changed = (change: (record: { checked: Record<string, unknown> }) => void) => (text: string) => {
    const record = JSON.parse(text);
    change(record);
    return JSON.stringify(record);
  };
  test.each<[name: string, change: (record: string) => string]>([
    ["with another fingerprint", changed((it) => (it.checked.seal = `${String(it.checked.seal)}1`))],
    ["whose record is torn", (record) => record.slice(0, -40)],
    ["whose record is empty", () => ""],
    ["whose record has no fingerprint", changed((it) => delete it.checked.seal)],
    ["whose fingerprint is of another version", changed((it) => (it.checked.seal = { version: 2 }))],
    ["whose recorded times are of another version", changed((it) => (it.checked.notAfter = "soon"))],
  ])("%s", async (_, change) => {
    using root = temporaryFolder();
    const [wrong, right] = [join(root.path, "wrong"), join(root.path, "right")];
    await putSet(wrong, broken, change);
    expect(await reasonsAt(wrong, 1)).toEqual(["the CA file's CA did not sign it"]);
    await putSet(right, files, change);
    expect(await reasonsAt(right, 1)).toEqual([]);
  });
});
