import { describe, expect, test } from "bun:test";
import { type CertificateRequest, requestRecord } from "../../lib/renewal/request.ts";
import { callPolicy, dueAt } from "../../lib/renewal/when-due.ts";
import { type Certificate, readCertificates } from "../../lib/x509/certificate.ts";
import type { Names } from "../../lib/x509/names.ts";
import { bothAt } from "../support/clocks.ts";
import { opensslEcKey, opensslRsaKey } from "../support/openssl.ts";
import { createCa } from "../support/set.ts";
import { assessTexts, type Texts } from "../support/stored.ts";

const day = 86_400_000;
const names: Names = {
  commonName: "etcd-1",
  organisations: ["system:nodes"],
  dnsNames: ["etcd-1.example.com"],
  ipAddresses: ["10.0.0.1", "fd00::1"],
};
const asked: CertificateRequest = { signPath: "demo/pki/etcd-k8s/sign/server", caChain: false, names };

const ca = createCa();
const key = opensslEcKey("P-256");
const certificate = ca.sign(key, names);
const leaf = readCertificates(certificate, "it")[0];
/** As this tool leaves it. */
const ours: Texts = { key, certificate, ca: ca.pem, request: requestRecord(asked, leaf) };
/** As the Go tool left it: no word of what was asked. */
const plain: Texts = { key, certificate, ca: ca.pem };

function after(days: number, it: Certificate = leaf): Date {
  return new Date(it.notBefore.getTime() + days * day);
}

async function reasons(set: Texts, request: CertificateRequest = asked, now = new Date()) {
  return (await assessTexts(set, request, bothAt(now))).reasons;
}

const renamed = (more: Partial<Names>): CertificateRequest => ({ ...asked, names: { ...names, ...more } });

describe("assess() finds nothing due", () => {
  test("if everything is as asked for, in a set of ours or in plain files", async () => {
    expect(await reasons(ours)).toEqual([]);
    expect(await reasons(plain)).toEqual([]);
    expect((await assessTexts(ours, asked, bothAt())).certificate?.commonName).toBe("etcd-1");
  });

  test("while more than a third of the lifetime is left", async () => {
    expect(await reasons(ours, asked, after(19.99))).toEqual([]);
  });

  test("if the same names come in another order, case or notation", async () => {
    const same = renamed({
      dnsNames: ["ETCD-1.example.COM", "etcd-1.example.com"],
      ipAddresses: ["FD00:0::1", "10.0.0.1"],
    });
    expect(await reasons(ours, same)).toEqual([]);
    expect(await reasons(plain, same)).toEqual([]);
  });

  test("if the CA file holds more CAs", async () => {
    const more = createCa("/CN=other").pem;
    expect(await reasons({ ...ours, ca: more + ca.pem })).toEqual([]);
  });

  test("if the role gave other names, and the same was asked for then", async () => {
    const granted = ca.sign(key, {
      commonName: "etcd-1",
      organisations: ["role's own"],
      dnsNames: ["etcd-1", "etcd-1.example.com"],
      ipAddresses: names.ipAddresses,
    });
    const set = {
      ...ours,
      certificate: granted,
      request: requestRecord(asked, readCertificates(granted, "it")[0]),
    };
    expect(await reasons(set)).toEqual([]);
  });

  test("if the server added the common name to the host names of plain files", async () => {
    const added = ca.sign(key, { ...names, dnsNames: [...names.dnsNames, "etcd-1"] });
    expect(await reasons({ ...plain, certificate: added })).toEqual([]);
  });

  test("if the key has the type that is asked for", async () => {
    expect(await reasons(ours, { ...asked, keyType: { type: "ec", bits: 256 } })).toEqual([]);
  });
});

describe("assess() says why a certificate is due", () => {
  const other = opensslEcKey("P-256");
  const namesake = createCa();
  const cases: ReadonlyArray<
    readonly [name: string, set: Texts, request: CertificateRequest, reason: string]
  > = [
    ["nothing", {}, asked, "there is none yet"],
    ["no key", { certificate, ca: ca.pem }, asked, "key missing"],
    ["no CA file", { key, certificate }, asked, "ca missing"],
    ["a CA file alone", { ca: ca.pem }, asked, "key and certificate missing"],
    ["another key", { ...ours, key: other }, asked, "the key belongs to another certificate"],
    ["another CA of the same name", { ...ours, ca: namesake.pem }, asked, "the CA file's CA did not sign it"],
    [
      "a key file that is broken",
      { ...ours, key: key.slice(0, 100) },
      asked,
      "the key holds a PEM block that is cut off",
    ],
    [
      "an empty certificate file",
      { ...ours, certificate: "" },
      asked,
      "the certificate file holds no certificate in PEM",
    ],
    ["a CA file with something else", { ...ours, ca: key }, asked, "the CA file holds no certificate in PEM"],
    [
      "another key type",
      ours,
      { ...asked, keyType: { type: "rsa", bits: 2048 } },
      "the key is EC P-256, not RSA 2048",
    ],
    [
      "another key size",
      ours,
      { ...asked, keyType: { type: "ec", bits: 384 } },
      "the key is EC P-256, not EC P-384",
    ],
    [
      "another sign path",
      ours,
      { ...asked, signPath: "demo/pki/etcd-k8s/sign/client" },
      "it came from demo/pki/etcd-k8s/sign/server",
    ],
  ];
  test.each(cases)("for %s", async (_name, set, request, reason) => {
    expect(await reasons(set, request)).toEqual([reason]);
  });

  const changes: ReadonlyArray<readonly [name: string, more: Partial<Names>]> = [
    ["common name", { commonName: "etcd-2" }],
    ["common name's case", { commonName: "Etcd-1" }],
    ["host name more", { dnsNames: ["etcd-1.example.com", "b.example.com"] }],
    ["host name less", { dnsNames: [] }],
    ["address more", { ipAddresses: ["10.0.0.1", "fd00::1", "10.0.0.2"] }],
    ["address less", { ipAddresses: ["10.0.0.1"] }],
    ["organisation more", { organisations: ["system:nodes", "b"] }],
  ];
  test.each(changes)("for another %s, in a set of ours and in plain files", async (_name, more) => {
    expect(await reasons(ours, renamed(more))).toEqual(["the names are not those asked for"]);
    expect(await reasons(plain, renamed(more))).toEqual(["the names are not those asked for"]);
  });

  test("for a missing organisation in a set of ours; in plain files it may come from the role", async () => {
    expect(await reasons(ours, renamed({ organisations: [] }))).toEqual([
      "the names are not those asked for",
    ]);
    expect(await reasons(plain, renamed({ organisations: [] }))).toEqual([]);
  });

  test("when a third of the lifetime is left, and when it has expired", async () => {
    expect(await reasons(ours, asked, dueAt(leaf, callPolicy("never")))).toEqual([
      "less than a third of its lifetime is left",
    ]);
    expect(await reasons(ours, asked, new Date(dueAt(leaf, callPolicy("never")).getTime() - 1))).toEqual([]);
    expect(await reasons(ours, asked, after(20.01))).toEqual(["less than a third of its lifetime is left"]);
    expect(await reasons(ours, asked, after(29.9))).toEqual(["less than a third of its lifetime is left"]);
    expect(await reasons(ours, asked, after(30))).toEqual(["it has expired"]);
  });

  test("with every reason, if there are several", async () => {
    const set = { ...ours, ca: namesake.pem, key: opensslRsaKey(2048) };
    const request = { ...renamed({ commonName: "b" }), keyType: { type: "ec", bits: 256 } } as const;
    expect(await reasons(set, request, after(31))).toEqual([
      "the key belongs to another certificate",
      "the CA file's CA did not sign it",
      "it has expired",
      "the key is RSA 2048, not EC P-256",
      "the names are not those asked for",
    ]);
  });
});

describe("assess() and the record of the request", () => {
  test("compares with the certificate itself if the record is of another one", async () => {
    const elsewhere = requestRecord(
      renamed({ commonName: "b" }),
      readCertificates(ca.sign(key, names), "it")[0],
    );
    expect(await reasons({ ...ours, request: elsewhere })).toEqual([]);
    expect(await reasons({ ...ours, request: elsewhere }, renamed({ commonName: "b" }))).toEqual([
      "the names are not those asked for",
    ]);
  });

  test.each(["", "null", "[]", "{", '{"signPath":1}', '{"signPath":"a","certificate":"b","names":{}}'])(
    "takes %j for no record",
    async (request) => {
      expect(await reasons({ ...ours, request })).toEqual([]);
    },
  );

  test("finds no secret in it", () => {
    expect(JSON.parse(ours.request ?? "")).toEqual({
      signPath: asked.signPath,
      names,
      caChain: false,
      certificate: leaf.x509.fingerprint256,
    });
  });
});
