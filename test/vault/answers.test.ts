import { describe, expect, test } from "bun:test";
import { createVaultClient, type VaultClient } from "../../lib/vault/client.ts";
import { listIssuers } from "../../lib/vault/issuers.ts";
import { readSecret } from "../../lib/vault/kv.ts";
import { readPkiRole, signCsr } from "../../lib/vault/pki.ts";
import { listMounts, readAuthMaxLeaseTtl, readPolicy } from "../../lib/vault/sys.ts";
import { createFromRole, lookupSelf, readTokenRole, renewSelf } from "../../lib/vault/token.ts";
import { failureOf } from "../support/failure.ts";
import { startScripted } from "../support/scripted.ts";

const csr = { csr: "", commonName: "a", dnsNames: [], ipAddresses: [] };
const auth = {
  client_token: "hvs.secret",
  accessor: "a",
  lease_duration: 1,
  renewable: true,
  policies: ["a"],
};
const info = { accessor: "a", ttl: 1, creation_ttl: 1, renewable: true, policies: ["a"] };
const mount = {
  type: "pki",
  description: "",
  config: { default_lease_ttl: 0, max_lease_ttl: 0 },
  options: null,
};
const signed = { certificate: "hvs.secret", issuing_ca: "b", ca_chain: ["b"] };

type Call = (client: VaultClient) => Promise<unknown>;

/** The functions that read an answer, and the fields that each of them needs. */
const reads: ReadonlyArray<readonly [name: string, call: Call, answer: object, missing: string]> = [
  ["listMounts()", listMounts, {}, "field data"],
  ["listMounts()", listMounts, { data: { "a/": { ...mount, type: 7 } } }, "field type"],
  ["listMounts()", listMounts, { data: { "a/": { ...mount, description: null } } }, "field description"],
  ["listMounts()", listMounts, { data: { "a/": { ...mount, config: [] } } }, "field config"],
  ["listMounts()", listMounts, { data: { "a/": { ...mount, options: "x" } } }, "field options"],
  ["readAuthMaxLeaseTtl()", (c) => readAuthMaxLeaseTtl(c, "token"), { data: {} }, "field max_lease_ttl"],
  ["readPolicy()", (c) => readPolicy(c, "a"), { data: { policy: {} } }, "field policy"],
  ["renewSelf()", (c) => renewSelf(c), { auth: null }, "field auth"],
  ["renewSelf()", (c) => renewSelf(c), { auth: { ...auth, lease_duration: "1h" } }, "field lease_duration"],
  ["renewSelf()", (c) => renewSelf(c), { auth: { ...auth, renewable: "yes" } }, "field renewable"],
  ["lookupSelf()", (c) => lookupSelf(c), { data: { ...info, ttl: null } }, "field ttl"],
  ["lookupSelf()", (c) => lookupSelf(c), { data: { ...info, creation_ttl: "1h" } }, "field creation_ttl"],
  ["lookupSelf()", (c) => lookupSelf(c), { data: { ...info, policies: "root" } }, "field policies"],
  [
    "createFromRole()",
    (c) => createFromRole(c, "r", "t"),
    { auth: { ...auth, client_token: "" } },
    "client_token",
  ],
  ["readTokenRole()", (c) => readTokenRole(c, "a"), { data: "x" }, "field data"],
  ["listIssuers()", (c) => listIssuers(c, "a"), { data: { keys: [1] } }, "field keys"],
  ["readPkiRole()", (c) => readPkiRole(c, "a/roles/b"), { data: [] }, "field data"],
  [
    "signCsr()",
    (c) => signCsr(c, "a/sign/b", csr),
    { data: { ...signed, certificate: "" } },
    "field certificate",
  ],
  ["signCsr()", (c) => signCsr(c, "a/sign/b", csr), { data: { ...signed, issuing_ca: null } }, "issuing_ca"],
  ["signCsr()", (c) => signCsr(c, "a/sign/b", csr), { data: { ...signed, ca_chain: [1] } }, "ca_chain"],
  ["readSecret()", (c) => readSecret(c, "a/b"), { data: null }, "field data"],
];

describe("an answer with the wrong shape", () => {
  test.each(reads)("is refused by %s", async (_name, call, answer, missing) => {
    await using server = startScripted(() => Response.json(answer));
    const failure = await failureOf(() => call(createVaultClient({ address: server.address })));
    expect(failure.message).toContain(missing);
    expect(failure.message).not.toContain("hvs.secret");
    expect(failure.kind).toBe("unavailable");
  });

  test.each([
    ["one text, as servers before Vault 1.11 send it", "old", ["old"]],
    ["missing, since the issuer has none", undefined, []],
    ["null", null, []],
  ])("is accepted by signCsr() if the chain is %s", async (_what, chain, caChain) => {
    await using server = startScripted(() => Response.json({ data: { ...signed, ca_chain: chain } }));
    const answer = await signCsr(createVaultClient({ address: server.address }), "a/sign/b", csr);
    expect(answer.caChain).toEqual(caChain);
  });
});
