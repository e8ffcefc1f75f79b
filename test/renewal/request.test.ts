import { expect, test } from "bun:test";
import { inspect } from "../../lib/renewal/inspect.ts";
import { parseRecord, requestRecord, withKeyMode } from "../../lib/renewal/request.ts";
import { readCertificates } from "../../lib/x509/certificate.ts";
import { opensslEcKey } from "../support/openssl.ts";
import { createCa } from "../support/set.ts";

const ca = createCa();
const key = opensslEcKey("P-256");
const names = { commonName: "it", organisations: [], dnsNames: [], ipAddresses: [] };
const certificate = ca.sign(key, names);
const [leaf] = readCertificates(certificate, "it");
const files = { key, certificate, ca: ca.pem };
const home = { path: "/etc/ssl/it", folder: "1:2" };
const record = requestRecord(
  { signPath: "demo/pki/k8s/sign/kubelet", caChain: false, names },
  leaf,
  { files, keyType: { type: "ec", bits: 256 }, fingerprint: "1 2 3" },
  home,
);

test("requestRecord() names the fingerprint as release 1.0.0 does, so that a host can go back to it", () => {
  const { checked } = JSON.parse(record);
  expect(Object.keys(checked)).toEqual(["files", "seal", "keyType", "notBefore", "notAfter"]);
  expect(checked.seal).toBe("1 2 3");
  expect(parseRecord(record)?.checked?.fingerprint).toBe("1 2 3");
});

test("withKeyMode() changes the mode, and keeps what another version has recorded", () => {
  const { checked, ...rest } = JSON.parse(record);
  const newer = JSON.stringify({ ...rest, checked: { ...checked, later: "field" } });
  const changed = JSON.parse(withKeyMode(newer, 0o640, home));
  expect(changed).toEqual({ ...rest, keyMode: "0640", checked: { ...checked, later: "field" } });
  expect(JSON.stringify(changed.checked)).toBe(JSON.stringify({ ...checked, later: "field" }));
});

test("a record that says too little names no owner", async () => {
  const noted = JSON.stringify({ home, owner: { uid: 1234, gid: 1234 } });
  const facts = { attributes: {}, request: noted, noted, isPending: false, isClosed: false };
  const inspected = await inspect("/nowhere/it", { state: "whole", files, ...facts });
  expect(inspected).toMatchObject({ state: "whole", placement: { home, owner: undefined } });
});
