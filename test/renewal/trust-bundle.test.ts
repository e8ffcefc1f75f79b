import { describe, expect, test } from "bun:test";
import { type KnownIssuer, trustBundle } from "../../lib/renewal/trust-bundle.ts";
import type { Certificate } from "../../lib/x509/certificate.ts";
import { type DatedCa, datedCa, datedLeaf, isAccepted, issuer } from "../support/dated-ca.ts";
import { failureOf } from "../support/failure.ts";

// Three generations with the same name, each certified by the one before, as a rotation leaves them.
const g1 = datedCa({ from: -30, until: 90 });
const g2 = datedCa({ from: -20, until: 100 });
const g2ByG1 = datedCa({ signer: g1, key: g2.key, from: -20, until: 90 });
const g3 = datedCa({ from: -10, until: 110 });
const g3ByG2 = datedCa({ signer: g2, key: g3.key, from: -10, until: 100 });
const g1Longer = datedCa({ key: g1.key, from: -5, until: 200 });
const g1Renamed = datedCa({ key: g1.key, from: -5, until: 200, subject: "/CN=the new name" });
const [leaf1, leaf2, leaf3] = [datedLeaf(g1), datedLeaf(g2), datedLeaf(g3)];

// A CA below a company's root, of which the mount has the certificate alone.
const root = datedCa({ subject: "/CN=company root" });
const root2 = datedCa({ subject: "/CN=another root", from: -9 });
const policy = datedCa({ subject: "/CN=policy CA", signer: root });
const below = datedCa({ signer: policy });
const belowLonger = datedCa({ signer: policy, key: below.key, from: -2, until: 150 });
const belowRoot2 = datedCa({ signer: root2, key: below.key, from: -3, until: 90 });
const below2 = datedCa({ signer: policy, from: -1 });
const leafBelow = datedLeaf(below);

// Imported CAs whose makers numbered them by hand.
const [one, other] = [
  datedCa({ serial: "01", from: -3, subject: "/CN=one" }),
  datedCa({ serial: "01", from: -4, subject: "/CN=other" }),
];
const stranger = datedCa({ subject: "/CN=stranger" });

const signPath = "demo/pki/sign/it";

interface Row {
  readonly leaf: Certificate;
  readonly issuers: readonly KnownIssuer[];
  readonly caChain?: true;
  readonly ca: readonly DatedCa[];
  readonly shown: readonly DatedCa[];
  /** Anchors that lead nowhere for this leaf. */
  readonly refusedBy?: readonly DatedCa[];
  readonly isTrusted?: false;
}

const rows: Readonly<Record<string, Row>> = {
  "one issuer": { leaf: leaf1, issuers: [issuer(g1, "k1", true)], ca: [g1], shown: [] },
  "one issuer, with the CA chain": {
    leaf: leaf1,
    issuers: [issuer(g1, "k1", true)],
    caChain: true,
    ca: [g1],
    shown: [],
  },
  "a CA renewed with the same key: the latest end counts": {
    leaf: leaf1,
    issuers: [issuer(g1, "k1", true), issuer(g1Longer, "k1")],
    ca: [g1Longer],
    shown: [],
  },
  "a CA renewed with the same key and another name": {
    leaf: leaf1,
    issuers: [issuer(g1, "k1"), issuer(g1Renamed, "k1", true)],
    ca: [g1, g1Renamed],
    shown: [],
    refusedBy: [g1Renamed],
  },
  "a new CA that does not sign yet": {
    leaf: leaf1,
    issuers: [issuer(g1, "k1", true), issuer(g2, "k2"), issuer(g2ByG1, "k2")],
    ca: [g1, g2],
    shown: [],
    refusedBy: [g2],
  },
  "two generations": {
    leaf: leaf2,
    issuers: [issuer(g1, "k1"), issuer(g2, "k2", true), issuer(g2ByG1, "k2")],
    ca: [g2, g1],
    shown: [g2ByG1],
  },
  "two generations without a cross certificate": {
    leaf: leaf2,
    issuers: [issuer(g1, "k1"), issuer(g2, "k2", true)],
    ca: [g2, g1],
    shown: [],
    refusedBy: [g1],
  },
  "three generations": {
    leaf: leaf3,
    issuers: [g1, g2, g3]
      .map((ca, i) => issuer(ca, `k${i + 1}`, ca === g3))
      .concat(issuer(g2ByG1, "k2"), issuer(g3ByG2, "k3")),
    ca: [g3, g2, g1],
    shown: [g3ByG2, g2ByG1],
  },
  "three generations, and a certificate of the second": {
    leaf: leaf2,
    issuers: [g1, g2, g3]
      .map((ca, i) => issuer(ca, `k${i + 1}`, ca === g3))
      .concat(issuer(g2ByG1, "k2"), issuer(g3ByG2, "k3")),
    ca: [g2, g3, g1],
    shown: [g2ByG1],
    refusedBy: [g3],
  },
  "two retired CAs whose cross certificates are still there": {
    leaf: leaf3,
    issuers: [issuer(g3, "k3", true), issuer(g3ByG2, "k3"), issuer(g2ByG1, "k2")],
    ca: [g3],
    shown: [g3ByG2, g2ByG1],
  },
  "a certificate of a CA that was retired after it": {
    leaf: leaf2,
    issuers: [issuer(g3, "k3", true), issuer(g3ByG2, "k3"), issuer(g2ByG1, "k2")],
    ca: [g3],
    shown: [g2ByG1],
    refusedBy: [g3],
    isTrusted: false,
  },
  "a retired CA whose cross certificate is still there": {
    leaf: leaf2,
    issuers: [issuer(g2, "k2", true), issuer(g2ByG1, "k2")],
    ca: [g2],
    shown: [g2ByG1],
  },
  "a cross certificate that was made again": {
    leaf: leaf2,
    issuers: [
      issuer(g1, "k1"),
      issuer(g2, "k2", true),
      issuer(g2ByG1, "k2"),
      issuer(datedCa({ signer: g1, key: g2.key, until: 50 }), "k2"),
    ],
    ca: [g2, g1],
    shown: [g2ByG1],
  },
  "a cross certificate both ways": {
    leaf: leaf2,
    issuers: [
      issuer(g1, "k1"),
      issuer(g2, "k2", true),
      issuer(g2ByG1, "k2"),
      issuer(datedCa({ signer: g2, key: g1.key }), "k1"),
    ],
    ca: [g2, g1],
    shown: [g2ByG1],
  },
  "a role that names an older issuer": {
    leaf: leaf1,
    issuers: [issuer(g1, "k1"), issuer(g2, "k2", true), issuer(g2ByG1, "k2")],
    ca: [g1, g2],
    shown: [],
    refusedBy: [g2],
  },
  "an intermediate below a keyless root": {
    leaf: leafBelow,
    issuers: [issuer(below, "k", true), issuer(policy, ""), issuer(root, "")],
    ca: [below],
    shown: [below, policy],
  },
  "an intermediate with the CA chain": {
    leaf: leafBelow,
    issuers: [issuer(root, ""), issuer(policy, ""), issuer(below, "k", true), issuer(stranger, "")],
    caChain: true,
    ca: [below, policy, root],
    shown: [below, policy],
  },
  "two intermediates with the CA chain": {
    leaf: leafBelow,
    issuers: [issuer(below, "k"), issuer(below2, "k2", true), issuer(policy, ""), issuer(root, "")],
    caChain: true,
    ca: [below, below2, policy, root],
    shown: [below, policy],
    refusedBy: [below2],
  },
  "several intermediates with one key: the named one": {
    leaf: leafBelow,
    issuers: [issuer(below, "k", true), issuer(belowRoot2, "k"), issuer(root2, ""), issuer(root, "")],
    ca: [below],
    shown: [below, belowRoot2],
  },
  "several intermediates with one key and the CA chain": {
    leaf: leafBelow,
    issuers: [issuer(below, "k", true), issuer(belowRoot2, "k"), issuer(root2, ""), issuer(policy, "")],
    caChain: true,
    ca: [below, root2, policy],
    shown: [below, belowRoot2, policy],
  },
  "several intermediates with one key: the latest end, if none is named": {
    leaf: leafBelow,
    issuers: [issuer(below, "k"), issuer(belowRoot2, "k"), issuer(belowLonger, "k"), issuer(policy, "")],
    ca: [belowLonger],
    shown: [belowLonger, belowRoot2, policy],
  },
  "two imported CAs with the serial number 01": {
    leaf: datedLeaf(one),
    issuers: [issuer(one, "k1", true), issuer(other, "k2")],
    ca: [one, other],
    shown: [],
    refusedBy: [other],
  },
  "a mount in which only the certificate of the signing CA is left": {
    leaf: leaf1,
    issuers: [issuer(g1, ""), issuer(g2, "k2", true)],
    ca: [g2],
    shown: [],
    refusedBy: [g2],
    isTrusted: false,
  },
  "a mount whose signing CA was removed": {
    leaf: leaf1,
    issuers: [issuer(g2, "k2", true), issuer(g2ByG1, "k2")],
    ca: [g2],
    shown: [],
    refusedBy: [g2],
    isTrusted: false,
  },
  "a mount without issuers": { leaf: leaf1, issuers: [], ca: [], shown: [], isTrusted: false },
};

/** Names each certificate, so that a failed comparison can be read. */
function namesOf(certificates: readonly Certificate[]): string[] {
  const known = { g1, g2, g2ByG1, g3, g3ByG2, g1Longer, g1Renamed, root, root2, policy, below, belowLonger };
  const all = Object.entries({ ...known, belowRoot2, below2, one, other, stranger });
  return certificates.map(
    ({ x509 }) =>
      all.find(([, { certificate }]) => certificate.x509.fingerprint256 === x509.fingerprint256)?.[0] ??
      x509.fingerprint256,
  );
}

const certificatesOf = (authorities: readonly DatedCa[]) => authorities.map(({ certificate }) => certificate);

describe("trustBundle()", () => {
  test.each(Object.entries(rows))("%s", (_, row) => {
    const { leaf, issuers, caChain = false, ca, shown, refusedBy = [], isTrusted = true } = row;
    for (const listed of ordersOf(issuers)) {
      const bundle = trustBundle(leaf, listed, { signPath, caChain });
      expect(namesOf(bundle.authorities)).toEqual(namesOf(certificatesOf(ca)));
      expect(bundle.chain[0]).toBe(leaf);
      expect(namesOf(bundle.chain.slice(1))).toEqual(namesOf(certificatesOf(shown)));
      expect(bundle.isTrusted).toBe(isTrusted);
    }
    const { chain } = trustBundle(leaf, issuers, { signPath, caChain });
    // What is above the anchors is trusted together with them.
    const keyless = issuers.flatMap(({ certificate, keyId }) => (keyId === "" ? [certificate] : []));
    for (const anchor of ca.filter(({ certificate }) => !keyless.includes(certificate))) {
      expect([namesOf([anchor.certificate]), isAccepted(chain, anchor.certificate)]).toEqual([
        namesOf([anchor.certificate]),
        !refusedBy.includes(anchor),
      ]);
    }
  });

  test("does not need the chain for a reader that trusts all of the bundle, and needs it for one that is late", () => {
    const issuers = [issuer(g1, "k1"), issuer(g2, "k2", true), issuer(g2ByG1, "k2")];
    const { chain } = trustBundle(leaf2, issuers, { signPath, caChain: false });
    expect(isAccepted(chain, g1.certificate)).toBe(true);
    expect(isAccepted(chain.slice(0, 1), g1.certificate)).toBe(false);
    expect(isAccepted(chain.slice(0, 1), g2.certificate)).toBe(true);
  });

  test("refuses more certificates than a file may hold", async () => {
    const many = Array.from({ length: 33 }, (_, i) => issuer(datedCa({ from: -i }), `k${i}`));
    expect(trustBundle(leaf1, many.slice(0, 32), { signPath, caChain: false }).authorities).toHaveLength(32);
    const failure = await failureOf(() => trustBundle(leaf1, many, { signPath, caChain: false }));
    expect([failure.kind, failure.message]).toEqual([
      "config",
      expect.stringMatching(
        /^demo\/pki has too many CAs for one CA file: 33 certificates, of \d+ KiB together; at most 32 certificates and 128 KiB are allowed$/,
      ),
    ]);
  });
});

test("trustBundle() refuses certificates that are too long together", async () => {
  const long = { ...g2, certificate: { ...g2.certificate, pem: "x".repeat(128 * 1024) } };
  const issuers = [issuer(g1, "k1", true), issuer(long, "k2")];
  const failure = await failureOf(() => trustBundle(leaf1, issuers, { signPath, caChain: false }));
  expect(failure.message).toContain(": 2 certificates, of 129 KiB together;");
});

/** The same issuers in other orders: a server lists them by their random ids. */
function ordersOf<T>(items: readonly T[]): ReadonlyArray<readonly T[]> {
  const rotated = items.map((_, i) => [...items.slice(i), ...items.slice(0, i)]);
  return [items, items.toReversed(), ...rotated];
}
