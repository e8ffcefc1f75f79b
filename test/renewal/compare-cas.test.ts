import { describe, expect, test } from "bun:test";
import { Failure } from "../../lib/failure.ts";
import { compareCas, knownIn, type ServerCas } from "../../lib/renewal/server-ca.ts";
import type { Certificate } from "../../lib/x509/certificate.ts";
import { type DatedCa, datedCa, datedLeaf, issuer } from "../support/dated-ca.ts";

const signPath = "demo/pki/sign/it";
const g1 = datedCa({ from: -30 });
const g1Longer = datedCa({ key: g1.key, until: 200 });
const g2 = datedCa({ from: -20 });
const g2ByG1 = datedCa({ signer: g1, key: g2.key, from: -20 });
const g3 = datedCa({ from: -10 });
const leaf1 = datedLeaf(g1);
const leaf2 = datedLeaf(g2);

const text = (...certificates: ReadonlyArray<Certificate | DatedCa>) =>
  certificates.map((it) => ("pem" in it ? it.pem : it.certificate.pem)).join("");
const one: ServerCas = { issuers: [issuer(g1, "k1", true)] };
const two: ServerCas = { issuers: [issuer(g1, "k1"), issuer(g2ByG1, "k2"), issuer(g2, "k2", true)] };

interface Row {
  readonly leaf: Certificate;
  /** After the certificate. */
  readonly chain?: readonly DatedCa[];
  readonly ca: readonly DatedCa[];
  readonly cas: ServerCas | Failure;
  readonly serverCa?: string;
  readonly expected: Readonly<Record<string, unknown>>;
}

const rows: Readonly<Record<string, Row>> = {
  "the one CA": { leaf: leaf1, ca: [g1], cas: one, expected: { ca: "same" } },
  "a root after the certificate, as the Go tool may have left it": {
    leaf: leaf1,
    chain: [g1],
    ca: [g1],
    cas: one,
    expected: { ca: "same" },
  },
  "a new CA beside the old one": {
    leaf: leaf1,
    ca: [g1],
    cas: two,
    expected: { ca: "renewed", files: { certificate: text(leaf1), ca: text(g1, g2) } },
  },
  "the same CAs in another order after the first": {
    leaf: leaf2,
    chain: [g2ByG1],
    ca: [g2, g1, g3],
    cas: { issuers: [...two.issuers, issuer(g3, "k3")] },
    expected: { ca: "same" },
  },
  "a CA from elsewhere between them": {
    leaf: leaf2,
    chain: [g2ByG1],
    ca: [g2, g3, g1],
    cas: two,
    expected: { ca: "renewed", files: { certificate: text(leaf2, g2ByG1), ca: text(g2, g1) } },
  },
  "the wrong anchor first": {
    leaf: leaf2,
    chain: [g2ByG1],
    ca: [g1, g2],
    cas: two,
    expected: { ca: "renewed", files: { ca: text(g2, g1) } },
  },
  "a cross certificate that is missing": {
    leaf: leaf2,
    ca: [g2, g1],
    cas: two,
    expected: { ca: "renewed", files: { certificate: text(leaf2, g2ByG1), ca: text(g2, g1) } },
  },
  "a CA that is no longer there": {
    leaf: leaf2,
    chain: [g2ByG1],
    ca: [g2, g1],
    cas: { issuers: [issuer(g2, "k2", true)] },
    expected: { ca: "renewed", files: { certificate: text(leaf2), ca: text(g2) } },
  },
  "a CA that is renewed with the same key": {
    leaf: leaf1,
    ca: [g1],
    cas: { issuers: [issuer(g1, "k1"), issuer(g1Longer, "k1", true)] },
    expected: { ca: "renewed", files: { ca: text(g1Longer) } },
  },
  "a signing CA that is gone": {
    leaf: leaf1,
    ca: [g1],
    cas: { issuers: [issuer(g2, "k2", true)] },
    expected: { ca: "other" },
  },
  "too many CAs": {
    leaf: leaf1,
    ca: [g1],
    cas: { issuers: [...one.issuers, ...many()] },
    expected: { ca: "unknown", failure: expect.objectContaining({ kind: "config" }) },
  },
  "no answer": {
    leaf: leaf1,
    ca: [g1],
    cas: new Failure("temporary", "away"),
    expected: { ca: "unknown", failure: expect.objectContaining({ message: "away" }) },
  },
  "the named CA": { leaf: leaf1, ca: [g1], cas: { named: [g1.certificate] }, expected: { ca: "same" } },
  "a named CA that is renewed": {
    leaf: leaf1,
    ca: [g1],
    cas: { named: [g1Longer.certificate] },
    expected: { ca: "renewed", files: { certificate: text(leaf1), ca: text(g1Longer) } },
  },
  "another named CA": {
    leaf: leaf1,
    ca: [g1],
    cas: { named: [g2.certificate] },
    expected: { ca: "other" },
  },
  "another named CA, which was named before the certificate was signed": {
    leaf: leaf1,
    ca: [g1],
    cas: { named: [g2.certificate] },
    serverCa: g2.certificate.x509.fingerprint256,
    expected: { ca: "same" },
  },
};

/** As many as a file can't hold: the same certificate text, made too long. */
function many() {
  const certificate = { ...g2.certificate, pem: "x".repeat(128 * 1024) };
  return [issuer({ certificate, key: g2.key }, "k2")];
}

describe("compareCas()", () => {
  test.each(Object.entries(rows))("%s", (_, { leaf, chain = [], ca, cas, serverCa, expected }) => {
    const names = { commonName: "it", organisations: [], dnsNames: [], ipAddresses: [] };
    const record = { signPath, caChain: false, names, certificate: "", serverCa };
    const files = { certificate: text(leaf, ...chain), ca: text(...ca) };
    expect(compareCas(files, leaf, { signPath, caChain: false }, record, cas)).toMatchObject(expected);
  });

  test("leaves a file byte for byte if its certificates are right", () => {
    const files = { certificate: `made by hand\r\n${text(leaf1)}`, ca: text(g1) };
    const { files: made } = compareCas(files, leaf1, { signPath, caChain: false }, undefined, two);
    expect(made?.certificate).toBe(files.certificate);
  });
});

test("knownIn() takes the CAs of both files, without the certificate, and nothing from a file that can't be read", () => {
  const known = (certificate: string, ca: string) =>
    knownIn({ certificate, ca }).map(({ x509 }) => x509.fingerprint256);
  const [a, b] = [g1, g2ByG1].map(({ certificate }) => certificate.x509.fingerprint256);
  expect(known(text(leaf2, g2ByG1), text(g1))).toEqual([a ?? "", b ?? ""]);
  expect(known("broken", text(g1))).toEqual([a ?? ""]);
  expect(known(text(leaf2, g2ByG1), "broken")).toEqual([b ?? ""]);
  expect(knownIn({})).toEqual([]);
});
