import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { lookAtSet } from "../../lib/host/certificate-set.ts";
import type { Manifest } from "../../lib/manifest/manifest.ts";
import { renew } from "../../lib/renewal/issue.ts";
import { callPolicy, type RenewalPolicy } from "../../lib/renewal/when-due.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import { readCertificates } from "../../lib/x509/certificate.ts";
import { age, manifestHost, outcomesOf, readFiles } from "../manifest/host.ts";
import { makeMount } from "../manifest/mount.ts";
import { startCluster } from "../support/cluster-server.ts";

// How many requests each kind of run sends in a cluster whose CAs were never rotated: as many as the version before
// trust bundles sent.

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

type Host = ReturnType<typeof manifestHost>;

/** The requests since the last call, without the one for the server's time. */
function takeRequests({ relay }: Host): string[] {
  const requests = relay.passed
    .map(({ method, path }) => `${method} ${path}`)
    .filter((it) => it !== "GET sys/seal-status");
  relay.reset();
  return requests;
}

const setFile = ({ destination }: Manifest, name: string) =>
  destination.replace(/([^/]+)$/, `.$1.set/${name}`);

/** Sets the last CA check back by eight days. */
function ageCheck(manifest: Manifest): void {
  for (const path of [`${manifest.destination}-ca.pem`, setFile(manifest, "ca-checked")]) {
    if (statSync(path, { throwIfNoEntry: false }) !== undefined) age(path, 8);
  }
}

/** Replaces a set by plain files, as the Go tool leaves them. */
function makePlain({ destination }: Manifest): void {
  const files = readFiles({ destination } as Manifest);
  rmSync(dirname(destination), { recursive: true });
  mkdirSync(dirname(destination));
  for (const [suffix, text = ""] of [
    ["-key.pem", files.key],
    [".pem", files.certificate],
    ["-ca.pem", files.ca],
  ] as const) {
    writeFileSync(destination + suffix, text, { mode: 0o600 });
  }
}

/** Writes the record as the version before trust bundles did. */
function writeOlderRecord(manifest: Manifest, serverCa: boolean): void {
  const files = readFiles(manifest);
  const [leaf] = readCertificates(files.certificate ?? "", "it");
  const [ca] = readCertificates(files.ca ?? "", "it");
  const seen = lookAtSet(manifest.destination);
  const path = setFile(manifest, "current/request.json");
  const { home } = JSON.parse(readFileSync(path, "utf8"));
  const digest = new Bun.CryptoHasher("sha256").update(
    JSON.stringify([files.key, files.certificate, files.ca]),
  );
  const record = {
    signPath: manifest.signPath,
    names: { commonName: manifest.name, organisations: [], dnsNames: [], ipAddresses: [] },
    caChain: manifest.caChain,
    certificate: leaf.x509.fingerprint256,
    home,
    issued: { host: new Date(), server: new Date() },
    ...(serverCa ? { serverCa: ca.x509.fingerprint256 } : {}),
    checked: {
      files: digest.digest("hex"),
      seal: seen.state === "unread" ? seen.fingerprint : "",
      keyType: { type: "ec", bits: 256 },
      notBefore: leaf.notBefore.toISOString(),
      notAfter: leaf.notAfter.toISOString(),
    },
  };
  writeFileSync(path, `${JSON.stringify(record, undefined, 2)}\n`);
}

async function direct(host: Host, manifest: Manifest, policy: RenewalPolicy): Promise<string> {
  const client = createVaultClient({ address: host.relay.address, token: cluster.rootToken, maxRetries: 0 });
  const signal = AbortSignal.timeout(20_000);
  return (await renew({ ...manifest, policy }, { client, signal })).outcome;
}

const now: RenewalPolicy = { renew: "now", newKey: false };

async function start() {
  const mount = await makeMount(cluster);
  const host = manifestHost(cluster);
  return Object.assign(host, mount, {
    look: `GET ${mount.mount}/issuers`,
    post: `POST ${mount.sign}`,
  });
}

describe("in a cluster that was never rotated,", () => {
  test("manifests send these requests", async () => {
    await using host = await start();
    const manifest = host.manifest("it", host.sign);
    expect(outcomesOf(await host.run(manifest))).toEqual(["issued"]);
    expect(takeRequests(host)).toEqual([host.post, host.look]);
    expect(outcomesOf(await host.run(manifest))).toEqual(["not due"]);
    expect(takeRequests(host)).toEqual([]);
    const renewed = host.manifest("it", host.sign, 'renew = "always"');
    expect(outcomesOf(await host.run(renewed))).toEqual(["issued"]);
    expect(takeRequests(host)).toEqual([host.post]);
    ageCheck(manifest);
    expect(outcomesOf(await host.run(manifest))).toEqual(["not due"]);
    expect(takeRequests(host)).toEqual([host.look]);
    // Another request from the same role.
    expect(outcomesOf(await host.run(host.manifest("it", host.sign, 'san_hosts = ["a"]')))).toEqual([
      "issued",
    ]);
    expect(takeRequests(host)).toEqual([host.post]);
  });

  test("several manifests ask their mount once", async () => {
    await using host = await start();
    const manifests = ["a", "b", "c"].map((name) => host.manifest(name, host.sign));
    await host.run(...manifests);
    expect(takeRequests(host).toSorted()).toEqual([host.look, host.post, host.post, host.post].toSorted());
    for (const manifest of manifests) ageCheck(manifest);
    await host.run(...manifests);
    expect(takeRequests(host)).toEqual([host.look]);
  });

  test("direct calls send these requests", async () => {
    await using host = await start();
    const manifest = host.manifest("it", host.sign);
    expect(await direct(host, manifest, now)).toBe("issued");
    expect(takeRequests(host)).toEqual([host.post, host.look]);
    expect(await direct(host, manifest, now)).toBe("issued");
    expect(takeRequests(host)).toEqual([host.post]);
    ageCheck(manifest);
    expect(await direct(host, manifest, now)).toBe("issued");
    expect(takeRequests(host)).toEqual([host.post]);
    expect(await direct(host, manifest, callPolicy("never"))).toBe("not due");
    expect(takeRequests(host)).toEqual([]);
    expect(await direct(host, manifest, callPolicy("now"))).toBe("not due");
    expect(takeRequests(host)).toEqual([host.look]);
  });

  test("plain files of the Go tool cost these requests", async () => {
    await using host = await start();
    const manifest = host.manifest("it", host.sign);
    await direct(host, manifest, now);
    makePlain(manifest);
    takeRequests(host);
    expect(outcomesOf(await host.run(manifest))).toEqual(["not due"]);
    expect(takeRequests(host)).toEqual([]);
    expect(await direct(host, manifest, callPolicy("now"))).toBe("not due");
    expect(takeRequests(host)).toEqual([host.look]);
    expect(await direct(host, manifest, now)).toBe("issued");
    expect(takeRequests(host)).toEqual([host.post, host.look]);
  });

  test("sets of older versions cost these requests", async () => {
    await using host = await start();
    const manifest = host.manifest("it", host.sign);
    for (const [hasServerCa, requests] of [
      [true, [host.post]],
      [false, [host.post, host.look]],
    ] as const) {
      await host.run(manifest);
      writeOlderRecord(manifest, hasServerCa);
      takeRequests(host);
      expect(outcomesOf(await host.run(manifest))).toEqual(["not due"]);
      expect(takeRequests(host)).toEqual([]);
      ageCheck(manifest);
      expect(outcomesOf(await host.run(manifest))).toEqual(["not due"]);
      expect(takeRequests(host)).toEqual([host.look]);
      expect(outcomesOf(await host.run(host.manifest("it", host.sign, 'renew = "always"')))).toEqual([
        "issued",
      ]);
      expect(takeRequests(host)).toEqual([...requests]);
      writeOlderRecord(manifest, hasServerCa);
      expect(await direct(host, manifest, now)).toBe("issued");
      expect(takeRequests(host)).toEqual([...requests]);
    }
  });

  test("a role that names an issuer costs these requests", async () => {
    await using host = await start();
    await host.pin(await host.addIssuer());
    const manifest = host.manifest("it", host.sign);
    expect(outcomesOf(await host.run(manifest))).toEqual(["issued"]);
    // The version before had the certificate signed twice.
    const first = takeRequests(host);
    expect(first.slice(0, 2)).toEqual([host.post, host.look]);
    expect(first).toHaveLength(3);
    expect(first[2]).toMatch(/^GET pki-[0-9a-f]+\/issuer\/[0-9a-f-]{36}\/json$/);
    ageCheck(manifest);
    expect(outcomesOf(await host.run(manifest))).toEqual(["not due"]);
    expect(takeRequests(host)).toEqual([host.look]);
    const renewed = host.manifest("it", host.sign, 'renew = "always"');
    expect(outcomesOf(await host.run(renewed))).toEqual(["issued"]);
    expect(takeRequests(host)).toEqual([host.post]);
  });

  test("a certificate of another CA, or over files that somebody has changed, leads to a question", async () => {
    await using host = await start();
    const manifest = host.manifest("it", host.sign);
    const renewed = host.manifest("it", host.sign, 'renew = "always"');
    await host.run(manifest);
    await host.pin(await host.addIssuer());
    takeRequests(host);
    expect(outcomesOf(await host.run(renewed))).toEqual(["issued"]);
    expect(takeRequests(host)).toEqual([host.post, host.look]);
    const { ca = "" } = readFiles(manifest);
    expect(readCertificates(ca, "it")).toHaveLength(2);
    writeFileSync(`${manifest.destination}-ca.pem`, readCertificates(ca, "it")[0].pem);
    expect(outcomesOf(await host.run(renewed))).toEqual(["issued"]);
    expect(takeRequests(host).slice(0, 2)).toEqual([host.post, host.look]);
    expect(readFiles(manifest).ca).toBe(ca);
  });

  test("a CA check that is due is made together with a renewal, and no other renewal counts as one", async () => {
    await using host = await start();
    const manifest = host.manifest("it", host.sign);
    const renewed = host.manifest("it", host.sign, 'renew = "always"');
    await host.run(manifest);
    ageCheck(manifest);
    takeRequests(host);
    expect(await direct(host, manifest, now)).toBe("issued");
    expect(takeRequests(host)).toEqual([host.post]);
    expect(outcomesOf(await host.run(renewed))).toEqual(["issued"]);
    expect(takeRequests(host)).toEqual([host.post, host.look]);
    expect(outcomesOf(await host.run(renewed))).toEqual(["issued"]);
    expect(takeRequests(host)).toEqual([host.post]);
  });
});
