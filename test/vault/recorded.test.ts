import { beforeAll, describe, expect, test } from "bun:test";
import { startServer } from "../../lib/server/start-server.ts";
import type { VaultClient } from "../../lib/vault/client.ts";
import { writeData } from "../../lib/vault/data.ts";
import { generateRoot } from "../../lib/vault/issuers.ts";
import { isSaid, type Meaning, meanings } from "../../lib/vault/meaning.ts";
import { writePkiRole } from "../../lib/vault/pki.ts";
import { enableMount, writePolicy } from "../../lib/vault/sys.ts";
import { createFromRole, createOrphan, writeTokenRole } from "../../lib/vault/token.ts";
import { createCsr } from "../../lib/x509/csr.ts";
import { generateKey } from "../../lib/x509/key.ts";
import { defaultKeyType } from "../../lib/x509/key-type.ts";
import { devServer } from "../support/dev-server.ts";
import {
  type Recorded,
  type RecordedName,
  recorded,
  recordedVersions,
  type Said,
} from "../support/recorded.ts";

const { server, client } = await devServer();

type Product = keyof typeof recordedVersions;
type Sends = readonly [method: string, path: string, body?: object | undefined, token?: string];

const names = Object.keys(recorded).filter((name): name is RecordedName => name in recorded);

/** The recorded answers of the server that runs; undefined if its version was not recorded. */
async function recordedProduct(): Promise<Product | undefined> {
  const response = await fetch(`${server.address}/v1/sys/health`);
  const { version } = JSON.parse(await response.text());
  const products: readonly Product[] = ["vault", "openbao"];
  return products.find((product) => recordedVersions[product] === version);
}

async function said([method, path, body, token = server.rootToken]: Sends): Promise<Said> {
  const response = await fetch(`${server.address}/v1/${path}`, {
    method,
    headers: token === "" ? {} : { "X-Vault-Token": token },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = (await response.text())
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "ID");
  return { status: response.status, errors: JSON.parse(text).errors };
}

async function prepare(client: VaultClient): Promise<Record<"bound" | "batch" | "csr", string>> {
  await writePolicy(client, "some", 'path "auth/token/create-orphan" { capabilities = ["update"] }');
  await createOrphan(client, { id: "some", displayName: "some", policies: ["some"], periodSeconds: 3600 });
  await writePolicy(client, "little", 'path "sys/none" { capabilities = ["read"] }');
  await client.request({
    method: "POST",
    path: "auth/token/create-orphan",
    body: { id: "little", policies: ["little"], no_default_policy: true, period: "1h" },
    capability: "update",
    repeatable: false,
  });
  await writeTokenRole(client, "bound", { token_bound_cidrs: "192.0.2.1/32", orphan: true, period: 3600 });
  const { token: bound } = await createFromRole(client, "bound", server.rootToken);

  for (const mount of ["empty", "pki", "idle"]) await enableMount(client, mount, "pki", {});
  for (const mount of ["pki", "idle"])
    await generateRoot(client, mount, { commonName: "ca", ttlSeconds: 3600 });
  await writeData(client, "pki/keys/generate/internal", { key_type: "ec", key_name: "taken" });
  await writeData(client, "idle/issuer/default", { issuer_name: "idle", usage: "read-only" });
  const anyName = { allow_any_name: true };
  await writePkiRole(client, "empty/roles/any", { ...anyName, key_type: "any", ttl: "10m" });
  await writePkiRole(client, "idle/roles/any", { ...anyName, key_type: "any", ttl: "10m" });
  await writePkiRole(client, "pki/roles/any", { ...anyName, key_type: "any", ttl: "10m" });
  await writePkiRole(client, "pki/roles/rsa", { ...anyName, key_type: "rsa", ttl: "10m" });
  await writePkiRole(client, "pki/roles/long", { ...anyName, key_type: "any", ttl: "2h", max_ttl: "2h" });
  const names = { commonName: "a", organisations: [], dnsNames: [], ipAddresses: [] };
  const batch = await createToken(client, { type: "batch", policies: ["default"], ttl: "1h" });
  await createToken(client, { id: "once", num_uses: 1, ttl: "1h" });
  return { bound, batch, csr: createCsr(await generateKey(defaultKeyType), names) };
}

async function createToken(client: VaultClient, body: object): Promise<string> {
  const answer = await client.ask({
    method: "POST",
    path: "auth/token/create",
    body,
    capability: "update",
    repeatable: false,
  });
  return answer.object("auth").string("client_token");
}

describe("a refusal of the server that runs", () => {
  let product: Product | undefined;
  let bound = "";
  let csr = "";
  let batch = "";
  beforeAll(async () => {
    product = await recordedProduct();
    ({ bound, batch, csr } = await prepare(client));
  });
  const sign = (role: string): Sends => ["POST", role, { csr, common_name: "a" }];
  const mounts = "sys/internal/ui/mounts";
  const provoked: Record<Exclude<RecordedName, "a read from a sealed server">, () => Sends> = {
    "a renewal with an unknown token": () => ["POST", "auth/token/renew-self", {}, "unknown"],
    "a lookup with an unknown token": () => ["GET", "auth/token/lookup-self", undefined, "unknown"],
    "a creation with an unknown token": () => ["POST", "auth/token/create/bound", {}, "unknown"],
    "any look at the mounts with an unknown token": () => ["GET", mounts, undefined, "unknown"],
    "a renewal with a token bound to other addresses": () => ["POST", "auth/token/renew-self", {}, bound],
    "any look at the mounts with a token bound to other addresses": () => ["GET", mounts, undefined, bound],
    "a renewal without a token": () => ["POST", "auth/token/renew-self", {}, ""],
    "a renewal that no policy grants": () => ["POST", "auth/token/renew-self", {}, "little"],
    "a creation that no policy grants": () => ["POST", "auth/token/create/bound", {}, "little"],
    "an admin's lookup of an unknown token": () => ["POST", "auth/token/lookup", { token: "unknown" }],
    "an id of one's choice without sudo": () => ["POST", "auth/token/create-orphan", { id: "x" }, "some"],
    "the renewal of a root token": () => ["POST", "auth/token/renew-self", {}],
    "the renewal of a batch token": () => ["POST", "auth/token/renew-self", {}, batch],
    "the renewal of a token on its last use": () => ["POST", "auth/token/renew-self", {}, "once"],
    "a lookup of what wraps nothing": () => ["POST", "sys/wrapping/lookup", { token: "none" }, ""],
    "the lookup of an unknown accessor": () => ["POST", "auth/token/lookup-accessor", { accessor: "none" }],
    "a read below no mount": () => ["GET", "no/such/mount"],
    "a read where nothing is": () => ["GET", "cubbyhole/none"],
    "a creation by an unknown token role": () => ["POST", "auth/token/create/none", {}],
    "a creation with an id that is taken": () => ["POST", "auth/token/create-orphan", { id: "some" }],
    "a read of the CA of a mount without one": () => ["GET", "empty/issuer/default/json"],
    "a CSR for a mount without a CA": () => sign("empty/sign/any"),
    "a read of an unknown issuer": () => ["GET", "pki/issuer/none/json"],
    "a CSR for an unknown issuer": () => sign("pki/issuer/none/sign/any"),
    "a new key with the name of another one": () => [
      "POST",
      "pki/root/rotate/internal",
      { common_name: "ca", key_type: "ec", key_name: "taken" },
    ],
    "a CSR for an issuer that may not sign": () => sign("idle/sign/any"),
    "a CSR for a role that outlives the CA": () => sign("pki/sign/long"),
    "a CSR with another kind of key": () => sign("pki/sign/rsa"),
    "a CSR for an unknown PKI role": () => sign("pki/sign/none"),
    "a key from a role of any kind": () => ["POST", "pki/issue/any", { common_name: "a" }],
  };

  test.each(Object.entries(provoked))("is as recorded: %s", async (name, sends) => {
    const is = await said(sends());
    const wanted = names.filter((it) => it === name).map((it) => recorded[it]);
    // A version that was not recorded still has to use the words of one of the two.
    const products: readonly Product[] = product === undefined ? ["vault", "openbao"] : [product];
    expect(wanted.flatMap((it) => products.map((of): Said => it[of]))).toContainEqual(is);
  });

  test("is as recorded: a read from a sealed server", async () => {
    await using other = await startServer({ mode: "raft" });
    await other.seal();
    const response = await fetch(`${other.address}/v1/sys/mounts`, {
      headers: { "X-Vault-Token": other.rootToken },
    });
    const { errors } = JSON.parse(await response.text());
    const { vault, openbao } = recorded["a read from a sealed server"];
    expect([vault, openbao]).toContainEqual({ status: response.status, errors });
  });
});

describe("a recorded refusal has exactly one meaning:", () => {
  const all = Object.keys(meanings).filter((it): it is Meaning => it in meanings);
  const of = ({ status, errors }: Said) => all.filter((it) => isSaid(it, status, errors));

  test.each(names)("%s", (name) => {
    const one: Recorded = recorded[name];
    const { vault, openbao, meaning, openbaoMeaning = meaning } = one;
    expect(of(vault)).toEqual(meaning === undefined ? [] : [meaning]);
    expect(of(openbao)).toEqual(openbaoMeaning === undefined ? [] : [openbaoMeaning]);
  });
});
