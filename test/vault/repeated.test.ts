import { afterEach, beforeEach, expect, mock, spyOn, test } from "bun:test";
import { createVaultClient, type VaultClient } from "../../lib/vault/client.ts";
import { readSecret, writeSecret } from "../../lib/vault/kv.ts";
import {
  generateRoot,
  listIssuers,
  readIssuerChain,
  readPkiRole,
  signCsr,
  writePkiRole,
} from "../../lib/vault/pki.ts";
import {
  enableMount,
  listMounts,
  readAuthMaxLeaseTtl,
  readPolicy,
  tuneAuthMaxLeaseTtl,
  tuneMount,
  writePolicy,
} from "../../lib/vault/sys.ts";
import {
  createFromRole,
  createOrphan,
  lookupSelf,
  readTokenRole,
  renewSelf,
  revokeSelf,
  writeTokenRole,
} from "../../lib/vault/token.ts";
import { startScripted } from "../support/scripted.ts";
import { vaultErrorOf } from "../support/vault.ts";

// No wait between tries.
beforeEach(() => spyOn(Math, "random").mockReturnValue(0));
afterEach(() => mock.restore());

type Call = (client: VaultClient) => Promise<unknown>;

const orphan = { id: "i", displayName: "d", policies: [], periodSeconds: 1 };
const csr = { csr: "", commonName: "a", dnsNames: [], ipAddresses: [] };

// A second run of these would make a second thing, or hide that the first one worked.
const once: Readonly<Record<string, Call>> = {
  createFromRole: (c) => createFromRole(c, "r", "t"),
  createOrphan: (c) => createOrphan(c, orphan),
  enableMount: (c) => enableMount(c, "m", "pki", {}),
  generateRoot: (c) => generateRoot(c, "m", { commonName: "a", ttlSeconds: 1 }),
};

const repeated: Readonly<Record<string, Call>> = {
  listIssuers: (c) => listIssuers(c, "m"),
  listMounts: (c) => listMounts(c),
  lookupSelf: (c) => lookupSelf(c),
  readAuthMaxLeaseTtl: (c) => readAuthMaxLeaseTtl(c, "token"),
  readIssuerChain: (c) => readIssuerChain(c, "m"),
  readPkiRole: (c) => readPkiRole(c, "m/roles/r"),
  readPolicy: (c) => readPolicy(c, "p"),
  readSecret: (c) => readSecret(c, "m/s"),
  readTokenRole: (c) => readTokenRole(c, "r"),
  renewSelf: (c) => renewSelf(c),
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
