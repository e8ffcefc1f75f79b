import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { createVaultClient } from "../../lib/vault/client.ts";
import { writeData } from "../../lib/vault/data.ts";
import {
  addRoot,
  crossSign,
  deleteIssuer,
  deleteKey,
  generateRoot,
  importIssuer,
  listIssuers,
  listKeys,
  readIssuer,
  readIssuerChain,
  readIssuersConfig,
  renewRoot,
  writeDefaultIssuer,
  writeReadOnlyIssuer,
} from "../../lib/vault/issuers.ts";
import { enableMount } from "../../lib/vault/sys.ts";
import { devServer } from "../support/dev-server.ts";
import { vaultErrorOf } from "../support/vault.ts";

const { server, client } = await devServer();

const commonName = "Kubernetes demo/k8s CA";
const root = { commonName, ttlSeconds: 864_000 };

async function mountWithCa(mount: string): Promise<void> {
  await enableMount(client, mount, "pki", { maxLeaseTtlSeconds: 864_000 });
  await generateRoot(client, mount, root);
}

/** The issuer of a mount that a predicate is true of. */
async function issuerWhere(mount: string, is: (it: { name: string; isDefault: boolean }) => boolean) {
  const found = (await listIssuers(client, mount)).find(is);
  if (found === undefined) throw new Error(`${mount} has no such issuer`);
  const info = await readIssuer(client, mount, found.id);
  return { ...found, info, x509: new X509Certificate(info?.certificate ?? "") };
}

describe("listIssuers()", () => {
  test("returns none for a new mount and one after it has a root, without a token", async () => {
    await enableMount(client, "fresh", "pki", {});
    expect(await listIssuers(client, "fresh")).toEqual([]);
    await generateRoot(client, "fresh", { commonName: "fresh", ttlSeconds: 3_600 });
    const anonymous = createVaultClient({ address: server.address });
    expect(await listIssuers(anonymous, "fresh")).toHaveLength(1);
  });

  test("fails if nothing is mounted", async () => {
    const error = await vaultErrorOf(() => listIssuers(client, "nowhere"));
    expect(error.kind).toBe("config");
  });

  test("tells each issuer's key, serial number and name, and which one is the default", async () => {
    await mountWithCa("told");
    await addRoot(client, "told", "g2", root, "g2");
    const [first, second] = (await listIssuers(client, "told")).toSorted((a, b) =>
      a.name.localeCompare(b.name),
    );
    expect([first?.name, first?.isDefault, second?.name, second?.isDefault]).toEqual(["", true, "g2", false]);
    expect(first?.keyId).not.toBe(second?.keyId);
    for (const { id, keyId, serial } of [first, second].flatMap((it) => it ?? [])) {
      const info = await readIssuer(client, "told", id);
      expect(info?.keyId).toBe(keyId ?? "");
      expect(new X509Certificate(info?.certificate ?? "").serialNumber).toBe(
        serial?.replaceAll(":", "").toUpperCase() ?? "",
      );
    }
  });
});

describe("generateRoot()", () => {
  test("makes a CA with the requested validity, whose name is not a SAN", async () => {
    await mountWithCa("rooted");
    const { x509: ca } = await issuerWhere("rooted", (it) => it.isDefault);
    expect(ca.ca).toBe(true);
    expect(ca.subject).toBe("CN=Kubernetes demo/k8s CA");
    expect(ca.subjectAltName).toBeUndefined();
    const lifetimeMs = Date.parse(ca.validTo) - Date.parse(ca.validFrom);
    expect(Math.abs(lifetimeMs / 1000 - 864_000)).toBeLessThan(120);
  });

  test("makes no SAN even from a name that could be one", async () => {
    await enableMount(client, "named", "pki", {});
    await generateRoot(client, "named", { commonName: "ca.test", ttlSeconds: 3_600 });
    const [ca = ""] = await readIssuerChain(client, "named/issuer/default");
    expect(new X509Certificate(ca).subjectAltName).toBeUndefined();
  });
});

describe("readIssuerChain()", () => {
  test("returns the CA of a mount, without a token", async () => {
    await mountWithCa("chained");
    const { x509 } = await issuerWhere("chained", (it) => it.isDefault);
    const chain = await readIssuerChain(
      createVaultClient({ address: server.address }),
      "chained/issuer/default",
    );
    expect(chain.map((pem) => new X509Certificate(pem).fingerprint256)).toEqual([x509.fingerprint256]);
  });

  test("returns each CA above it once", async () => {
    await mountWithCa("above");
    await enableMount(client, "below", "pki", {});
    const write = { method: "POST", capability: "create update", repeatable: false } as const;
    const body = { common_name: "below" };
    const made = await client.ask({ ...write, path: "below/intermediate/generate/internal", body });
    const csr = made.object("data").string("csr");
    const path = "above/root/sign-intermediate";
    const signed = (await client.ask({ ...write, path, body: { csr, ...body } })).object("data");
    const chain = [signed.string("certificate"), signed.string("issuing_ca")];
    await client.request({
      ...write,
      path: "below/intermediate/set-signed",
      body: { certificate: chain.join("\n") },
    });
    expect((await readIssuerChain(client, "below/issuer/default")).map((pem) => pem.trim())).toEqual(chain);
  });

  test("says that a mount has no CA", async () => {
    await enableMount(client, "bare", "pki", {});
    expect((await vaultErrorOf(() => readIssuerChain(client, "bare/issuer/default"))).kind).toBe("config");
  });
});

describe("readIssuer()", () => {
  test("gives nothing for an unknown id", async () => {
    await mountWithCa("known");
    expect(await readIssuer(client, "known", crypto.randomUUID())).toBeUndefined();
  });
});

describe("renewRoot()", () => {
  test("gives the same key a new certificate, and leaves the default issuer", async () => {
    await mountWithCa("renewed");
    const old = await issuerWhere("renewed", (it) => it.isDefault);
    await renewRoot(client, "renewed", "g1-2", old.keyId ?? "", { commonName, ttlSeconds: 432_000 });
    const renewed = await issuerWhere("renewed", (it) => it.name === "g1-2");
    expect([renewed.keyId, renewed.isDefault]).toEqual([old.keyId, false]);
    expect(renewed.x509.subject).toBe(old.x509.subject);
    expect(renewed.x509.verify(old.x509.publicKey)).toBe(true);
  });
});

describe("crossSign()", () => {
  test("certifies a CA's key with another one's, and the import gives it that key", async () => {
    await mountWithCa("crossed");
    const old = await issuerWhere("crossed", (it) => it.isDefault);
    await addRoot(client, "crossed", "g2", { ...root, key: { type: "ec", bits: 256 } }, "g2");
    const next = await issuerWhere("crossed", (it) => it.name === "g2");
    const notAfter = new Date(old.x509.validTo);
    const asked = { signerId: old.id, keyId: next.keyId ?? "", commonName, notAfter };
    const certificate = await crossSign(client, "crossed", asked);
    const id = await importIssuer(client, "crossed", certificate);
    expect(await importIssuer(client, "crossed", certificate)).toBe(id);
    await writeReadOnlyIssuer(client, "crossed", id, "g2-by-g1");
    const cross = await issuerWhere("crossed", (it) => it.name === "g2-by-g1");
    expect([cross.id, cross.keyId, cross.info?.mayIssue]).toEqual([id, next.keyId, false]);
    expect([cross.x509.subject, cross.x509.ca]).toEqual([`CN=${commonName}`, true]);
    expect(cross.x509.verify(old.x509.publicKey)).toBe(true);
    expect(cross.x509.validTo).toBe(old.x509.validTo);
    expect(cross.x509.publicKey.equals(next.x509.publicKey)).toBe(true);
  });
});

describe("writeDefaultIssuer()", () => {
  test("chooses the issuer, and stops the server from choosing", async () => {
    await mountWithCa("chosen");
    const { id: first } = await issuerWhere("chosen", (it) => it.isDefault);
    await writeData(client, "chosen/config/issuers", { default: first, default_follows_latest_issuer: true });
    expect((await readIssuersConfig(client, "chosen")).followsLatest).toBe(true);
    await addRoot(client, "chosen", "g2", root, "g2");
    const { id } = await issuerWhere("chosen", (it) => it.name === "");
    await writeDefaultIssuer(client, "chosen", id);
    expect(await readIssuersConfig(client, "chosen")).toEqual({ defaultId: id, followsLatest: false });
  });
});

describe("deleteIssuer() and deleteKey()", () => {
  test("remove an issuer and then its key, and are content if they are gone", async () => {
    await mountWithCa("gone");
    await addRoot(client, "gone", "g2", root, "g2");
    const { id, keyId = "" } = await issuerWhere("gone", (it) => it.name === "g2");
    for (const _ of [1, 2]) await deleteIssuer(client, "gone", id);
    expect(await listIssuers(client, "gone")).toHaveLength(1);
    expect(await listKeys(client, "gone")).toContain(keyId);
    for (const _ of [1, 2]) await deleteKey(client, "gone", keyId);
    expect(await listKeys(client, "gone")).not.toContain(keyId);
  });
});
