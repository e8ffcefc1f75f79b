import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FailureKind } from "../../lib/failure.ts";
import { checkSigned } from "../../lib/renewal/check-signed.ts";
import type { SignedCertificate } from "../../lib/vault/pki.ts";
import { readKey } from "../../lib/x509/key.ts";
import type { Names } from "../../lib/x509/names.ts";
import { bothAt } from "../support/clocks.ts";
import { failureOf } from "../support/failure.ts";
import { temporaryFolder } from "../support/folder.ts";
import { openssl, opensslEcKey } from "../support/openssl.ts";
import { createCa } from "../support/set.ts";

const names: Names = {
  commonName: "etcd-1",
  organisations: [],
  dnsNames: ["a.example.com"],
  ipAddresses: ["fd00::1"],
};
const ca = createCa();
const other = createCa();
const pem = opensslEcKey("P-256");
const key = await readKey(pem, "it");
const right: SignedCertificate = { certificate: ca.sign(pem, names), issuingCa: ca.pem, caChain: [ca.pem] };
const check = (signed: SignedCertificate, now = new Date()) => checkSigned(signed, key, names, bothAt(now));

/** What openssl says of a certificate, for somebody who trusts the root and is shown the intermediate. */
function verified(certificate: string, root: string, intermediate: string): string {
  using folder = temporaryFolder();
  const file = (name: string, content: string) => {
    writeFileSync(join(folder.path, name), content);
    return join(folder.path, name);
  };
  const flags = ["-CAfile", file("root", root), "-untrusted", file("intermediate", intermediate)];
  return openssl(["verify", ...flags, file("leaf", certificate)]);
}

describe("checkSigned()", () => {
  test("accepts the requested certificate", () => {
    const { leaf, intermediates, authorities } = check(right);
    expect(leaf.pem).toBe(right.certificate);
    expect(intermediates).toEqual([]);
    expect(authorities.map((it) => it.pem)).toEqual([ca.pem]);
  });

  test("accepts more names than were asked for, in any notation", () => {
    const more = { ...names, dnsNames: ["A.example.com", "etcd-1"], ipAddresses: ["FD00:0::1", "10.0.0.1"] };
    expect(check({ ...right, certificate: ca.sign(pem, more) }).leaf.dnsNames).toHaveLength(2);
  });

  test("names each CA once, whether the chain repeats them or leaves the signer out", () => {
    const root = createCa("/CN=root");
    const issuer = createCa("/CN=issuer", root);
    const certificate = issuer.sign(pem, names);
    for (const caChain of [[], [root.pem], [issuer.pem, root.pem], [certificate, issuer.pem, root.pem]]) {
      const { authorities, intermediates } = check({ certificate, issuingCa: issuer.pem, caChain });
      expect(authorities.map((it) => it.pem)).toEqual(
        caChain.includes(root.pem) ? [issuer.pem, root.pem] : [issuer.pem],
      );
      expect(intermediates.map((it) => it.pem)).toEqual([issuer.pem]);
    }
  });

  test("accepts a CA that two roots have signed, and sends both of its certificates, in any order", () => {
    const roots = [createCa("/CN=one"), createCa("/CN=two")] as const;
    const [first, second] = [createCa("/CN=Int", roots[0]), roots[1]];
    const crossed = createCa("/CN=Int", second, first.key);
    const certificate = first.sign(pem, names);
    const pems = [roots[0].pem, crossed.pem, second.pem];
    for (const above of [pems, pems.toReversed()]) {
      const caChain = [first.pem, ...above];
      const { intermediates, authorities } = check({ certificate, issuingCa: first.pem, caChain });
      expect(authorities.map((it) => it.pem)).toEqual(caChain);
      expect(intermediates.map((it) => it.pem)).toEqual([first.pem, crossed.pem]);
    }
    // Without one of the roots, its peers know that one themselves.
    const part = { certificate, issuingCa: first.pem, caChain: [first.pem, crossed.pem] };
    expect(check(part).intermediates).toHaveLength(2);
    for (const [root, shown] of [
      [roots[0], first],
      [second, crossed],
    ] as const) {
      expect(verified(certificate, root.pem, shown.pem)).toContain(": OK");
    }
  });

  test("sends the way from a new CA to the old one, and not the way back, if each signed the other", () => {
    const [old, next] = [createCa("/CN=the CA"), createCa("/CN=the CA")];
    const [nextByOld, oldByNext] = [
      createCa("/CN=the CA", old, next.key),
      createCa("/CN=the CA", next, old.key),
    ];
    const certificate = next.sign(pem, names);
    const caChain = [next.pem, nextByOld.pem, old.pem, oldByNext.pem];
    const { intermediates, authorities } = check({ certificate, issuingCa: next.pem, caChain });
    expect(authorities.map((it) => it.pem)).toEqual(caChain);
    expect(intermediates.map((it) => it.pem)).toEqual([nextByOld.pem]);
    expect(verified(certificate, old.pem, nextByOld.pem)).toContain(": OK");
  });

  test("refuses CAs that signed each other, but nothing in the chain", async () => {
    const [one, two] = [createCa("/CN=one"), createCa("/CN=two")];
    const crossed = [createCa("/CN=one", two, one.key).pem, createCa("/CN=two", one, two.key).pem];
    for (const foreign of [crossed, [one.pem, ...crossed], [createCa("/CN=test CA").pem]]) {
      const failure = await failureOf(() => check({ ...right, caChain: [ca.pem, ...foreign] }));
      expect([failure.kind, failure.message]).toEqual([
        "data",
        expect.stringContaining("a CA that signed none of its chain"),
      ]);
    }
  });

  test("refuses a certificate whose CA has expired: waiting does not help", async () => {
    const certificate = ca.sign(pem, names, 90);
    const later = new Date(Date.now() + 61 * 86_400_000);
    const failure = await failureOf(() => check({ ...right, certificate }, later));
    expect(failure.kind).toBe("unavailable");
    expect(failure.message).toStartWith("the CA that signed the certificate expired ");
  });

  const refused: ReadonlyArray<readonly [name: string, signed: SignedCertificate, words: string]> = [
    [
      "for another key",
      { ...right, certificate: ca.sign(opensslEcKey("P-256"), names) },
      "is for another key than the request's",
    ],
    [
      "of another CA",
      { ...right, certificate: other.sign(pem, names) },
      "is not signed by the CA that came with it",
    ],
    [
      "with a CA in its chain that signed nothing of it",
      { ...right, caChain: [ca.pem, other.pem] },
      "came with test CA, a CA that signed none of its chain",
    ],
    [
      "with another CA beside it",
      { ...right, issuingCa: other.pem },
      "is not signed by the CA that came with it",
    ],
    [
      "for another name",
      { ...right, certificate: ca.sign(pem, { ...names, commonName: "b" }) },
      "lacks what was asked for: common name etcd-1",
    ],
    [
      "without the host name",
      { ...right, certificate: ca.sign(pem, { ...names, dnsNames: [] }) },
      "lacks what was asked for: a.example.com",
    ],
    [
      "without the address",
      { ...right, certificate: ca.sign(pem, { ...names, ipAddresses: ["fd00::2"] }) },
      "lacks what was asked for: fd00::1",
    ],
  ];
  test.each(refused)("refuses a certificate %s", async (_name, signed, words) => {
    const failure = await failureOf(() => check(signed));
    expect(failure.kind).toBe("data");
    expect(failure.message).toBe(`the certificate that the server signed ${words}`);
  });

  test("refuses a certificate that has already expired, and points to the clock", async () => {
    const failure = await failureOf(() => check(right, new Date(Date.now() + 31 * 86_400_000)));
    expect(failure.kind).toBe("data");
    expect(failure.message).toMatch(/ expired .*Z, before it began to be used$/);
    expect(failure.hint).toContain("clock");
  });

  const days = (count: number) => new Date(Date.now() + count * 86_400_000);
  test.each([
    ["a host's clock is a year behind", days(-365), days(0)],
    ["a host's clock is a year ahead", days(365), days(0)],
    ["a proxy's is five minutes slow", days(0), new Date(Date.now() - 300_000)],
    ["a proxy's is a year fast", days(0), days(365)],
  ])("takes one that is valid by one clock alone: %s", (_, host, server) => {
    expect(checkSigned(right, key, names, { host, server }).leaf.pem).toBe(right.certificate);
  });

  test("refuses a certificate that neither clock calls valid, and is temporary if a clock was never set", async () => {
    const cases: ReadonlyArray<readonly [host: Date, server: Date, code: FailureKind, words: string]> = [
      [days(-1), days(-2), "data", "in the future"],
      [days(-1), days(31), "data", "and is valid by neither clock"],
      [new Date(0), new Date(0), "temporary", "in the future"],
    ];
    for (const [host, server, code, words] of cases) {
      const failure = await failureOf(() => checkSigned(right, key, names, { host, server }));
      expect([failure.kind, failure.message]).toEqual([code, expect.stringContaining(words)]);
      expect(failure.hint).toContain("clock");
    }
  });

  test.each([
    ["certificate", { ...right, certificate: "<html>" }],
    ["CA", { ...right, issuingCa: "<html>" }],
    ["chain", { ...right, caChain: ["<html>"] }],
  ])("refuses an answer whose %s is not PEM", async (_what, signed) => {
    const failure = await failureOf(() => check(signed));
    expect(failure.kind).toBe("data");
    expect(failure.message).toBe("the server's answer holds no certificate in PEM");
  });
});
