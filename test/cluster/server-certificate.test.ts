import { describe, expect, test } from "bun:test";
import { readServerCertificate } from "../../lib/cluster/server-certificate.ts";
import { isSeconds } from "../../lib/vault/shape.ts";
import { failureOf } from "../support/failure.ts";
import { createCa } from "../support/set.ts";

describe("readServerCertificate()", () => {
  test("returns a stored certificate with its times", () => {
    const { x509, notBefore, notAfter } = readServerCertificate(createCa().pem, "it");
    expect([x509.ca, notAfter > notBefore]).toEqual([true, true]);
  });

  test.each(["", "garbage", "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n"])(
    "refuses %j, names its owner and blames the server",
    async (pem) => {
      const failure = await failureOf(() => readServerCertificate(pem, "the issuer 1f of demo/pki/k8s"));
      expect([failure.kind, failure.message]).toEqual([
        "unavailable",
        "the certificate of the issuer 1f of demo/pki/k8s can't be read",
      ]);
    },
  );
});

test.each([
  [0, true],
  [-1, true],
  [157_680_000, true],
  [253_402_300_799, true],
  [253_402_300_800, false],
  [1e300, false],
  [Number.POSITIVE_INFINITY, false],
  [Number.NaN, false],
  ["1", false],
  [null, false],
])("isSeconds(%p) is %p", (value, is) => {
  expect(isSeconds(value)).toBe(is);
});
