import { expect, test } from "bun:test";
import { inspect } from "../../lib/renewal/inspect.ts";
import { parseRecord, replacedRecord, requestRecord } from "../../lib/renewal/request.ts";
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

test("replacedRecord() keeps what another version has recorded, and has the files' fingerprint", () => {
  const { checked, ...rest } = JSON.parse(record);
  const newer = JSON.stringify({ ...rest, checked: { ...checked, later: "field" } });
  const again = { files, fingerprint: "4 5 6", home, keyMode: 0o640 };
  const replaced = JSON.parse(replacedRecord(newer, again));
  const expected = { ...checked, seal: "4 5 6", later: "field" };
  expect(replaced).toEqual({ ...rest, keyMode: "0640", checked: expected });
  expect(JSON.stringify(replaced.checked)).toBe(JSON.stringify(expected));
});

test("replacedRecord() ties plain files to their destination", () => {
  const replaced = replacedRecord(undefined, { files, fingerprint: "4 5 6", home });
  expect(JSON.parse(replaced)).toEqual({ home });
});

test("a record that says too little names no owner", async () => {
  const noted = JSON.stringify({ home, owner: { uid: 1234, gid: 1234 } });
  const facts = { attributes: {}, request: noted, noted, isPending: false, isClosed: false };
  const inspected = await inspect("/nowhere/it", { state: "whole", files, ...facts });
  expect(inspected).toMatchObject({ state: "whole", placement: { home, owner: undefined } });
});
