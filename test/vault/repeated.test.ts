import { afterEach, beforeEach, expect, mock, spyOn, test } from "bun:test";
import { listAccessors, lookupAccessor, revokeAccessor } from "../../lib/vault/accessor.ts";
import { createVaultClient, type VaultClient } from "../../lib/vault/client.ts";
import {
  addRoot,
  crossSign,
  deleteIssuer,
  deleteKey,
  generateRoot,
  importIssuer,
  listIssuers,
  listKeys,
  patchIssuer,
  readIssuer,
  readIssuerChain,
  readIssuersConfig,
  renewRoot,
  writeDefaultIssuer,
  writeKeyName,
  writeReadOnlyIssuer,
} from "../../lib/vault/issuers.ts";
import { readSecret, writeSecret } from "../../lib/vault/kv.ts";
import {
  listCertificates,
  readPkiRole,
  readStoredCertificate,
  revokeCertificate,
  rotateCrls,
  signCsr,
  writePkiRole,
} from "../../lib/vault/pki.ts";
import {
  deletePolicy,
  enableMount,
  listMounts,
  readAuthMaxLeaseTtl,
  readCapabilities,
  readPolicy,
  tuneAuthMaxLeaseTtl,
  tuneMount,
  writePolicy,
} from "../../lib/vault/sys.ts";
import {
  createFromRole,
  createOrphan,
  deleteTokenRole,
  lookupSelf,
  readTokenRole,
  renewSelf,
  revokeSelf,
  writeTokenRole,
} from "../../lib/vault/token.ts";
import { disableMount, reloadMount } from "../../lib/vault/unmount.ts";
import { startScripted } from "../support/scripted.ts";
import { vaultErrorOf } from "../support/vault.ts";

// No waits between attempts.
beforeEach(() => spyOn(Math, "random").mockReturnValue(0));
afterEach(() => mock.restore());

type Call = (client: VaultClient) => Promise<unknown>;

const orphan = { id: "i", displayName: "d", policies: [], periodSeconds: 1 };
const csr = { csr: "", commonName: "a", dnsNames: [], ipAddresses: [] };

// Repeating one of these would make a second object, hide that the first attempt worked, or disturb its work.
const once: Readonly<Record<string, Call>> = {
  createFromRole: (c) => createFromRole(c, "r", "t"),
  createOrphan: (c) => createOrphan(c, orphan),
  disableMount: (c) => disableMount(c, "m"),
  enableMount: (c) => enableMount(c, "m", "pki", {}),
  addRoot: (c) => addRoot(c, "m", "g2", { commonName: "a", ttlSeconds: 1 }, "g2"),
  renewRoot: (c) => renewRoot(c, "m", "g2", "k", { commonName: "a", ttlSeconds: 1 }),
  generateRoot: (c) => generateRoot(c, "m", { commonName: "a", ttlSeconds: 1 }),
};

const repeated: Readonly<Record<string, Call>> = {
  crossSign: (c) => crossSign(c, "m", { signerId: "i", keyId: "k", commonName: "a", notAfter: new Date() }),
  deleteIssuer: (c) => deleteIssuer(c, "m", "i"),
  writeKeyName: (c) => writeKeyName(c, "m", "k", "g2"),
  deleteKey: (c) => deleteKey(c, "m", "k"),
  importIssuer: (c) => importIssuer(c, "m", "pem"),
  patchIssuer: (c) => patchIssuer(c, "m", "i", {}),
  listKeys: (c) => listKeys(c, "m"),
  revokeCertificate: (c) => revokeCertificate(c, "m", "00:01"),
  rotateCrls: (c) => rotateCrls(c, "m"),
  writeDefaultIssuer: (c) => writeDefaultIssuer(c, "m", "i"),
  writeReadOnlyIssuer: (c) => writeReadOnlyIssuer(c, "m", "i", "n"),
  deletePolicy: (c) => deletePolicy(c, "p"),
  deleteTokenRole: (c) => deleteTokenRole(c, "r"),
  listAccessors: (c) => listAccessors(c),
  listCertificates: (c) => listCertificates(c, "m"),
  listIssuers: (c) => listIssuers(c, "m"),
  listMounts: (c) => listMounts(c),
  lookupAccessor: (c) => lookupAccessor(c, "a"),
  lookupSelf: (c) => lookupSelf(c),
  readAuthMaxLeaseTtl: (c) => readAuthMaxLeaseTtl(c, "token"),
  readCapabilities: (c) => readCapabilities(c, ["p"]),
  readIssuersConfig: (c) => readIssuersConfig(c, "m"),
  readIssuer: (c) => readIssuer(c, "m", "i"),
  readIssuerChain: (c) => readIssuerChain(c, "m/issuer/default"),
  readPkiRole: (c) => readPkiRole(c, "m/roles/r"),
  readPolicy: (c) => readPolicy(c, "p"),
  readSecret: (c) => readSecret(c, "m/s"),
  readStoredCertificate: (c) => readStoredCertificate(c, "m", "00:01"),
  readTokenRole: (c) => readTokenRole(c, "r"),
  reloadMount: (c) => reloadMount(c, "m"),
  renewSelf: (c) => renewSelf(c),
  revokeAccessor: (c) => revokeAccessor(c, "a"),
  revokeSelf: (c) => revokeSelf(c, "t"),
  signCsr: (c) => signCsr(c, "m/sign/r", csr),
  tuneAuthMaxLeaseTtl: (c) => tuneAuthMaxLeaseTtl(c, "token", 1),
  tuneMount: (c) => tuneMount(c, "m", {}),
  writePkiRole: (c) => writePkiRole(c, "m/roles/r", {}),
  writePolicy: (c) => writePolicy(c, "p", ""),
  writeSecret: (c) => writeSecret(c, "m/s", {}),
  writeTokenRole: (c) => writeTokenRole(c, "r", {}),
};

async function tries(call: Call): Promise<number> {
  await using server = startScripted(() => Response.json({ errors: ["internal error"] }, { status: 500 }));
  await vaultErrorOf(() => call(createVaultClient({ address: server.address })));
  return server.seen.length;
}

test.each(Object.entries(once))(
  "%s() is sent once when the server may have acted on it",
  async (_name, call) => {
    expect(await tries(call)).toBe(1);
  },
);

test.each(Object.entries(repeated))("%s() is sent again when the server fails", async (_name, call) => {
  expect(await tries(call)).toBe(3);
});
