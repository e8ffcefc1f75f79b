import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, statSync } from "node:fs";
import type { Manifest } from "../../lib/manifest/manifest.ts";
import { importIssuer } from "../../lib/vault/issuers.ts";
import { readCertificates } from "../../lib/x509/certificate.ts";
import { age, manifestHost, outcomesOf, readFiles } from "../manifest/host.ts";
import { makeMount } from "../manifest/mount.ts";
import { startCluster } from "../support/cluster-server.ts";
import { datedCa } from "../support/dated-ca.ts";
import type { Fault } from "../support/relay.ts";

// Mounts with many issuers, and with CAs from elsewhere.

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

async function start(fault?: Fault) {
  const mount = await makeMount(cluster);
  return Object.assign(manifestHost(cluster, fault), mount);
}

type Host = Awaited<ReturnType<typeof start>>;

/** The outcome of a run whose CA check is due, and its requests. */
async function check({ relay, run }: Host, manifest: Manifest): Promise<readonly string[]> {
  const checked = manifest.destination.replace(/([^/]+)$/, ".$1.set/ca-checked");
  for (const path of [`${manifest.destination}-ca.pem`, checked]) {
    if (statSync(path, { throwIfNoEntry: false }) !== undefined) age(path, 8);
  }
  relay.reset();
  const outcomes = await run(manifest);
  const told = outcomes.flatMap((one) => ("failure" in one ? [one.failure.message] : [one.issued.outcome]));
  return [...told, ...relay.passed.map(({ path }) => path)];
}

const caCount = (manifest: Manifest) => readCertificates(readFiles(manifest).ca ?? "", "it").length;

describe("a mount's CAs", () => {
  test("fill a CA file of 32 certificates; one more is an error that changes nothing", async () => {
    await using host = await start();
    const manifest = host.manifest("it", host.sign);
    await host.run(manifest);
    for (let i = 1; i < 32; i++) await host.addIssuer();
    expect((await check(host, manifest))[0]).toBe("CA refreshed");
    expect(caCount(manifest)).toBe(32);
    await host.addIssuer();
    const before = readFiles(manifest);
    expect((await check(host, manifest))[0]).toMatch(
      /^pki-\w+ has too many CAs for one CA file: 33 certificates, of \d+ KiB together; at most 32 certificates/,
    );
    // A new certificate would come with the same CAs.
    const always = host.manifest("it", host.sign, 'renew = "always"');
    expect(outcomesOf(await host.run(always))).toEqual(["config"]);
    expect(outcomesOf(await host.run(host.manifest("other", host.sign)))).toEqual(["config"]);
    expect(readFiles(manifest)).toEqual(before);
    expect(existsSync(`${host.folder}/ssl/other.pem`)).toBe(false);
  });

  test("are not read one by one if there are thousands", async () => {
    let isLong = false;
    await using host = await start(({ path }) => {
      if (!isLong || !path.endsWith("/issuers")) return undefined;
      const keys = Array.from({ length: 5000 }, (_, i) => `id-${i}`);
      const info = { is_default: false, issuer_name: "", key_id: "key", serial_number: "01" };
      const key_info = Object.fromEntries(keys.map((id) => [id, info]));
      return Response.json({ data: { keys, key_info } });
    });
    const manifest = host.manifest("it", host.sign);
    await host.run(manifest);
    isLong = true;
    const before = readFiles(manifest);
    expect(await check(host, manifest)).toEqual([
      expect.stringContaining("has too many CAs for one CA file: 5000 issuers with a key;"),
      `${host.mount}/issuers`,
    ]);
    expect(readFiles(manifest)).toEqual(before);
    expect(outcomesOf(await host.run(host.manifest("other", host.sign)))).toEqual(["config"]);
    expect(existsSync(`${host.folder}/ssl/other.pem`)).toBe(false);
  });

  test("are told apart if two have the number 01, and read each time because of it", async () => {
    await using host = await start();
    const manifest = host.manifest("it", host.sign);
    await host.run(manifest);
    for (const subject of ["/CN=one", "/CN=other"]) {
      const { certificate, key } = datedCa({ subject, serial: "01" });
      await cluster.write(`${host.mount}/issuers/import/bundle`, { pem_bundle: certificate.pem + key });
    }
    const one = expect.stringContaining(`${host.mount}/issuer/`);
    expect(await check(host, manifest)).toEqual(["CA refreshed", `${host.mount}/issuers`, one, one]);
    const names = readCertificates(readFiles(manifest).ca ?? "", "it").map(({ commonName }) => commonName);
    expect(names.toSorted()).toEqual(["one", "other", "the CA"]);
    expect(await check(host, manifest)).toEqual(["not due", `${host.mount}/issuers`, one, one]);
  });

  test("without a key are no anchors, and are read for --ca-chain alone, if a CA's signer is unknown", async () => {
    await using host = await start();
    const root = datedCa({ subject: "/CN=company root" });
    const below = datedCa({ subject: "/CN=below", signer: root });
    const plain = host.manifest("plain", host.sign);
    const whole = host.manifest("whole", host.sign, "ca_chain = true");
    await host.run(plain, whole);
    const issuers = `${host.mount}/issuers`;
    const one = expect.stringContaining(`${host.mount}/issuer/`);
    await importIssuer(cluster.admin, host.mount, root.certificate.pem);
    for (const manifest of [plain, whole]) {
      expect(await check(host, manifest)).toEqual(["not due", issuers]);
      expect(caCount(manifest)).toBe(1);
    }
    await cluster.write(`${host.mount}/issuers/import/bundle`, {
      pem_bundle: below.certificate.pem + below.key,
    });
    expect(await check(host, plain)).toEqual(["CA refreshed", issuers, one]);
    expect(caCount(plain)).toBe(2);
    expect(await check(host, whole)).toEqual(["CA refreshed", issuers, one, one]);
    expect(caCount(whole)).toBe(3);
    for (const manifest of [plain, whole]) expect(await check(host, manifest)).toEqual(["not due", issuers]);
  });
});
