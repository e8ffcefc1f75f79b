import { afterAll, describe, expect, setSystemTime, test } from "bun:test";
import { statSync, writeFileSync } from "node:fs";
import { lookAtSet } from "../../lib/host/certificate-set.ts";
import { readPending } from "../../lib/host/pending.ts";
import type { Manifest } from "../../lib/manifest/manifest.ts";
import { isUntouched, parseRecord } from "../../lib/renewal/request.ts";
import { runPendingHooks } from "../../lib/tasks/hooks.ts";
import { deleteData } from "../../lib/vault/data.ts";
import { listIssuers } from "../../lib/vault/issuers.ts";
import { isSignedBy, readCertificates } from "../../lib/x509/certificate.ts";
import { age, closedWindow, manifestHost, outcomesOf, readFiles } from "../manifest/host.ts";
import { makeMount } from "../manifest/mount.ts";
import { startCluster } from "../support/cluster-server.ts";
import { openssl } from "../support/openssl.ts";
import { treeOf } from "../support/tree.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

/** Sets the last CA check back by so many days. */
function ageCa({ destination }: Manifest, days: number): void {
  const checked = destination.replace(/([^/]+)$/, ".$1.set/ca-checked");
  for (const path of [`${destination}-ca.pem`, checked]) {
    if (statSync(path, { throwIfNoEntry: false }) !== undefined) age(path, days);
  }
}

/** All but the times of what only says when the CA was looked at. */
function standingTree(folder: string): Readonly<Record<string, string>> {
  const own = ["ssl/.it.set", "ssl/.it.set/ca-checked"];
  return Object.fromEntries(Object.entries(treeOf(folder)).filter(([name]) => !own.includes(name)));
}

/** The record has the fingerprint of the files, so the next run need not open them. */
function expectUntouched({ destination }: Manifest): void {
  const seen = lookAtSet(destination);
  if (seen.state !== "unread") throw new Error("it is no whole set");
  expect(isUntouched(parseRecord(seen.request), seen.fingerprint)).toBe(true);
}

const hook = 'on_change = [["/bin/true"]]';

describe("the server's CA", () => {
  test("is not asked for within a week, and once in each week after", async () => {
    const { mount, sign } = await makeMount(cluster);
    await using host = manifestHost(cluster);
    const manifest = host.manifest("it", sign, hook);
    await host.run(manifest);
    const issuers = `${mount}/issuers`;
    for (const [days, asked] of [
      [6.9, []],
      [7.1, [issuers]],
      [6.9, []],
      [7.1, [issuers]],
      // Noted by a clock that was ahead, and has been set since.
      [-1, [issuers]],
      [-3000, [issuers]],
      [0, []],
    ] as const) {
      ageCa(manifest, days);
      const before = standingTree(host.folder);
      host.relay.reset();
      expect(outcomesOf(await host.run(manifest))).toEqual(["not due"]);
      expect(host.relay.passed.map(({ path }) => path)).toEqual([...asked]);
      expect(standingTree(host.folder)).toEqual(before);
    }
  });

  test("is asked for once if it is the same, and then not for a week", async () => {
    const { sign } = await makeMount(cluster);
    await using host = manifestHost(cluster);
    const manifest = host.manifest("it", sign);
    await host.run(manifest);
    ageCa(manifest, 8);
    host.relay.reset();
    for (let time = 0; time < 3; time++) expect(outcomesOf(await host.run(manifest))).toEqual(["not due"]);
    expect(host.relay.passed.length).toBe(1);
    expect(host.relay.writes()).toEqual([]);
  });

  test("with a new certificate for the same key replaces the CA file alone", async () => {
    const { sign, reissueCa } = await makeMount(cluster);
    await using host = manifestHost(cluster);
    const manifest = host.manifest("it", sign, hook);
    await host.run(manifest);
    await runPendingHooks([manifest], { signal: new AbortController().signal, onLine: () => {} });
    const before = readFiles(manifest);
    await reissueCa();
    ageCa(manifest, 6);
    expect(outcomesOf(await host.run(manifest))).toEqual(["not due"]);
    ageCa(manifest, 8);
    host.relay.reset();
    expect(outcomesOf(await host.run(manifest))).toEqual(["CA refreshed"]);
    expect(host.relay.writes()).toEqual([]);
    const after = readFiles(manifest);
    expect([after.key, after.certificate]).toEqual([before.key, before.certificate]);
    const [ca] = readCertificates(after.ca ?? "", "it");
    expect(ca.notAfter > readCertificates(before.ca ?? "", "it")[0].notAfter).toBe(true);
    openssl(["verify", "-CAfile", `${manifest.destination}-ca.pem`, `${manifest.destination}.pem`]);
    expect(readPending(manifest.destination).changed).toEqual(["ca"]);
    expectUntouched(manifest);
    const tree = treeOf(host.folder);
    expect(outcomesOf(await host.run(manifest))).toEqual(["not due"]);
    expect(treeOf(host.folder)).toEqual(tree);
  });

  test("that is a new one joins the old one in the CA file, and the certificate stays until it is due", async () => {
    const { mount, sign, replaceCa } = await makeMount(cluster);
    await using host = manifestHost(cluster);
    const manifest = host.manifest("it", sign, hook);
    await host.run(manifest);
    await runPendingHooks([manifest], { signal: new AbortController().signal, onLine: () => {} });
    const before = readFiles(manifest);
    await replaceCa();
    ageCa(manifest, 8);
    host.relay.reset();
    expect(outcomesOf(await host.run(manifest))).toEqual(["CA refreshed"]);
    const paths = host.relay.passed.map(({ path }) => path);
    expect(paths).toEqual([`${mount}/issuers`, expect.stringContaining(`${mount}/issuer/`)]);
    const after = readFiles(manifest);
    expect([after.key, after.certificate]).toEqual([before.key, before.certificate]);
    expect(after.ca).toStartWith(before.ca ?? "");
    expect(readCertificates(after.ca ?? "", "it")).toHaveLength(2);
    expect(readPending(manifest.destination).changed).toEqual(["ca"]);
    expectUntouched(manifest);
    ageCa(manifest, 8);
    host.relay.reset();
    expect(outcomesOf(await host.run(manifest))).toEqual(["not due"]);
    expect(host.relay.passed.map(({ path }) => path)).toEqual([`${mount}/issuers`]);
    // Once it is due, the new CA signs, and its anchor comes first.
    expect(outcomesOf(await host.run(host.manifest("it", sign, 'san_hosts = ["a"]')))).toEqual(["issued"]);
    const [first, second] = readCertificates(readFiles(manifest).ca ?? "", "it");
    expect(second?.pem).toBe(before.ca ?? "");
    openssl(["verify", "-CAfile", `${manifest.destination}-ca.pem`, `${manifest.destination}.pem`]);
    expect(isSignedBy(readCertificates(readFiles(manifest).certificate ?? "", "it")[0], first)).toBe(true);
  });

  test("that certifies another one with the same name is sent with the certificate", async () => {
    const { mount, sign, crossReplaceCa, removeCross } = await makeMount(cluster);
    await using host = manifestHost(cluster);
    const manifest = host.manifest("it", sign, hook);
    await host.run(manifest);
    const old = readFiles(manifest);
    const first = (await listIssuers(cluster.admin, mount))[0]?.id;
    await crossReplaceCa();
    // The cross certificate leads from the new CA to the old one: the old certificate needs none.
    ageCa(manifest, 8);
    expect(outcomesOf(await host.run(manifest))).toEqual(["CA refreshed"]);
    expect(readFiles(manifest).certificate).toBe(old.certificate);
    await runPendingHooks([manifest], { signal: new AbortController().signal, onLine: () => {} });
    const refreshed = readCertificates(readFiles(manifest).ca ?? "", "it");
    const renewed = host.manifest("it", sign, `san_hosts = ["a"]\n${hook}`);
    expect(outcomesOf(await host.run(renewed))).toEqual(["issued"]);
    // The CA file has another order, and its readers need not restart once more.
    const order = readCertificates(readFiles(manifest).ca ?? "", "it");
    expect(order.map(({ pem }) => pem)).toEqual(refreshed.map(({ pem }) => pem).toReversed());
    expect(readPending(manifest.destination).changed).toEqual(["certificate"]);
    const { certificate = "", ca = "" } = readFiles(manifest);
    expect(readCertificates(certificate, "it")).toHaveLength(2);
    expect(readCertificates(ca, "it")).toHaveLength(2);
    const verify = (anchor: string) => {
      const path = `${host.folder}/anchor.pem`;
      writeFileSync(path, anchor);
      const leaf = `${manifest.destination}.pem`;
      openssl(["verify", "-x509_strict", "-CAfile", path, "-untrusted", leaf, leaf]);
    };
    for (const anchor of readCertificates(ca, "it")) verify(anchor.pem);
    verify(old.ca ?? "");

    // The old CA is retired: a host forgets it, and goes on to send the certificate for those that have only that one.
    await deleteData(cluster.admin, `${mount}/issuer/${first}`);
    await runPendingHooks([manifest], { signal: new AbortController().signal, onLine: () => {} });
    ageCa(manifest, 8);
    expect(outcomesOf(await host.run(renewed))).toEqual(["CA refreshed"]);
    expect(readFiles(manifest).certificate).toBe(certificate);
    expect(readCertificates(readFiles(manifest).ca ?? "", "it")).toHaveLength(1);
    verify(old.ca ?? "");

    // Without the cross certificate, only the certificate file changes.
    await runPendingHooks([manifest], { signal: new AbortController().signal, onLine: () => {} });
    await removeCross();
    ageCa(manifest, 8);
    expect(outcomesOf(await host.run(renewed))).toEqual(["CA refreshed"]);
    expect(readPending(manifest.destination).changed).toEqual(["certificate"]);
    expect(readCertificates(readFiles(manifest).certificate ?? "", "it")).toHaveLength(1);
    expectUntouched(manifest);
  });

  test("that is gone leads to a new certificate for the same key", async () => {
    const { mount, sign, replaceCa } = await makeMount(cluster);
    await using host = manifestHost(cluster);
    const manifest = host.manifest("it", sign);
    await host.run(manifest);
    const before = readFiles(manifest);
    const old = (await listIssuers(cluster.admin, mount))[0]?.id;
    await replaceCa();
    await deleteData(cluster.admin, `${mount}/issuer/${old}`);
    ageCa(manifest, 8);
    host.relay.reset();
    const [outcome] = await host.run(manifest);
    expect(
      outcome !== undefined && "issued" in outcome && [outcome.issued.outcome, outcome.issued.reasons],
    ).toEqual(["issued", ["the server no longer has the CA that signed it"]]);
    expect(host.relay.passed.map(({ path }) => path)).toEqual([
      `${mount}/issuers`,
      expect.stringContaining(`${mount}/issuer/`),
      sign,
    ]);
    const after = readFiles(manifest);
    expect([
      after.key === before.key,
      after.certificate === before.certificate,
      after.ca === before.ca,
    ]).toEqual([true, false, false]);
    openssl(["verify", "-CAfile", `${manifest.destination}-ca.pem`, `${manifest.destination}.pem`]);
  });

  test("that signs with a cross certificate alone is in the CA file all the same", async () => {
    const { mount, sign, crossReplaceCa, setDefault } = await makeMount(cluster);
    await using host = manifestHost(cluster);
    const manifest = host.manifest("it", sign);
    await crossReplaceCa();
    const usage = "read-only,issuing-certificates";
    await cluster.write(`${mount}/issuer/cross`, { issuer_name: "cross", usage });
    await setDefault("cross");
    for (const { id, name } of await listIssuers(cluster.admin, mount)) {
      if (name !== "cross") await deleteData(cluster.admin, `${mount}/issuer/${id}`);
    }
    expect(outcomesOf(await host.run(manifest))).toEqual(["issued"]);
    const [leaf, crossed] = readCertificates(readFiles(manifest).certificate ?? "", "it");
    expect(readFiles(manifest).ca).toBe(crossed?.pem ?? "");
    expect(isSignedBy(leaf, readCertificates(readFiles(manifest).ca ?? "", "it")[0])).toBe(true);
  });

  test("need not be the default for roles that name their own", async () => {
    const { mount, sign, addIssuer, pin, replaceCa } = await makeMount(cluster);
    await pin(await addIssuer());
    await using host = manifestHost(cluster);
    const manifest = host.manifest("it", sign);
    const run = async () => {
      ageCa(manifest, 8);
      host.relay.reset();
      const outcomes = outcomesOf(await host.run(manifest));
      return [...outcomes, ...host.relay.passed.map(({ path }) => path)];
    };
    expect(outcomesOf(await host.run(manifest))).toEqual(["issued"]);
    const issuers = `${mount}/issuers`;
    const same = ["not due", issuers];
    expect([await run(), await run()]).toEqual([same, same]);
    await replaceCa();
    const one = expect.stringContaining(`${mount}/issuer/`);
    expect([await run(), await run()]).toEqual([["CA refreshed", issuers, one], same]);
    expect(readCertificates(readFiles(manifest).ca ?? "", "it")).toHaveLength(3);
    // The next certificate is of the same CA, and nothing more is asked.
    const renewed = host.manifest("it", sign, 'san_hosts = ["a"]');
    host.relay.reset();
    expect(outcomesOf(await host.run(renewed))).toEqual(["issued"]);
    expect(host.relay.passed.map(({ path }) => path)).toEqual([sign]);
    ageCa(manifest, 8);
    expect(outcomesOf(await host.run(renewed))).toEqual(["not due"]);
  });

  test("may be missing as a default if roles name an issuer, and without any a run changes nothing", async () => {
    const { mount, sign, addIssuer, pin } = await makeMount(cluster);
    await pin(await addIssuer());
    await using host = manifestHost(cluster);
    const manifest = host.manifest("it", sign);
    await deleteData(cluster.admin, `${mount}/issuer/default`);
    expect(outcomesOf(await host.run(manifest))).toEqual(["issued"]);
    ageCa(manifest, 8);
    expect(outcomesOf(await host.run(manifest))).toEqual(["not due"]);
    for (const { id } of await listIssuers(cluster.admin, mount)) {
      await deleteData(cluster.admin, `${mount}/issuer/${id}`);
    }
    ageCa(manifest, 8);
    const before = readFiles(manifest);
    expect(outcomesOf(await host.run(manifest))).toEqual(["config"]);
    expect(readFiles(manifest)).toEqual(before);
  });

  test("that changes during signing is in the CA file", async () => {
    const { sign, replaceCa } = await makeMount(cluster);
    await using host = manifestHost(cluster, async ({ path }, _, pass) => {
      const answer = await pass();
      if (path === sign && host.relay.writes().length === 1) await replaceCa();
      return answer;
    });
    const manifest = host.manifest("it", sign);
    expect(outcomesOf(await host.run(manifest))).toEqual(["issued"]);
    expect(host.relay.writes()).toHaveLength(1);
    expect(readCertificates(readFiles(manifest).ca ?? "", "it")).toHaveLength(2);
    openssl(["verify", "-CAfile", `${manifest.destination}-ca.pem`, `${manifest.destination}.pem`]);
    ageCa(manifest, 8);
    expect(outcomesOf(await host.run(manifest))).toEqual(["not due"]);
  });

  test("is followed for each issuer of the mount, also if the sign path names one", async () => {
    const { mount, addIssuer } = await makeMount(cluster);
    const name = (issuer: string) => cluster.write(`${mount}/issuer/${issuer}`, { issuer_name: "own" });
    const first = await addIssuer();
    await name(first);
    await using host = manifestHost(cluster);
    const manifest = host.manifest("it", `${mount}/issuer/own/sign/it`);
    await host.run(manifest);
    const look = async () => {
      ageCa(manifest, 8);
      host.relay.reset();
      return outcomesOf(await host.run(manifest));
    };
    expect(await look()).toEqual(["not due"]);
    expect(host.relay.passed.map(({ path }) => path)).toEqual([`${mount}/issuers`]);
    const { ca: before = "" } = readFiles(manifest);
    await cluster.write(`${mount}/issuer/${first}`, { issuer_name: "old" });
    await name(await addIssuer());
    expect(await look()).toEqual(["CA refreshed"]);
    expect(readCertificates(before, "it")).toHaveLength(2);
    expect(readCertificates(readFiles(manifest).ca ?? "", "it")).toHaveLength(3);
    expect(await look()).toEqual(["not due"]);
  });

  test("may be unknown: certificates are issued all the same", async () => {
    const { mount, sign, addIssuer } = await makeMount(cluster);
    let isAway = true;
    await using host = manifestHost(cluster, ({ path }) =>
      isAway && path.endsWith("/issuers")
        ? Response.json({ errors: ["internal"] }, { status: 500 })
        : undefined,
    );
    const manifest = host.manifest("it", sign);
    expect(outcomesOf(await host.run(manifest))).toEqual(["issued"]);
    // The next run finds out.
    isAway = false;
    host.relay.reset();
    expect(outcomesOf(await host.run(manifest))).toEqual(["not due"]);
    expect(host.relay.passed.map(({ path }) => path)).toEqual([`${mount}/issuers`]);
    // A renewal without an answer drops no CA.
    await addIssuer();
    ageCa(manifest, 8);
    expect(outcomesOf(await host.run(manifest))).toEqual(["CA refreshed"]);
    const before = readFiles(manifest);
    isAway = true;
    ageCa(manifest, 8);
    expect(outcomesOf(await host.run(host.manifest("it", sign, 'renew = "always"')))).toEqual(["issued"]);
    expect(readFiles(manifest).ca).toBe(before.ca ?? "");
  });

  test("is checked inside the window only, since that may replace a certificate", async () => {
    const { sign, replaceCa } = await makeMount(cluster);
    await using host = manifestHost(cluster);
    const manifest = host.manifest("it", sign);
    await host.run(manifest);
    await replaceCa();
    ageCa(manifest, 8);
    host.relay.reset();
    const { window } = closedWindow();
    expect(outcomesOf(await host.run(host.manifest("it", sign, `window = "${window}"`)))).toEqual([
      "not due",
    ]);
    expect(host.relay.passed).toEqual([]);
    expect(outcomesOf(await host.run(host.manifest("it", sign, 'window = "00:00-24:00"')))).toEqual([
      "CA refreshed",
    ]);
  });

  test("is still due after another mode of the key was written", async () => {
    const { mount, sign } = await makeMount(cluster);
    let isRefused = true;
    await using host = manifestHost(cluster, ({ path }) =>
      isRefused && path.endsWith("/issuers")
        ? Response.json({ errors: ["permission denied"] }, { status: 403 })
        : undefined,
    );
    const manifest = host.manifest("it", sign);
    const other = host.manifest("it", sign, 'key_mode = "0640"');
    await host.run(manifest);
    ageCa(manifest, 8);
    expect(outcomesOf(await host.run(other))).toEqual(["permission"]);
    expect(statSync(`${manifest.destination}-key.pem`).mode & 0o777).toBe(0o640);
    expectUntouched(manifest);
    isRefused = false;
    host.relay.reset();
    expect(outcomesOf(await host.run(other))).toEqual(["not due"]);
    expect(host.relay.passed.map(({ path }) => path)).toEqual([`${mount}/issuers`]);
  });

  test("is followed to its end if the window closes while the server is asked", async () => {
    const { mount, sign, replaceCa } = await makeMount(cluster);
    const clock = (ms: number) => new Date(Date.now() + ms).toTimeString().slice(0, 5);
    let isAsked = false;
    await using host = manifestHost(cluster, ({ path }) => {
      if (isAsked && path.endsWith("/issuers")) setSystemTime(Date.now() + 3 * 60_000);
      return undefined;
    });
    const manifest = host.manifest("it", sign, `window = "${clock(-60_000)}-${clock(120_000)}"`);
    await host.run(manifest);
    const first = (await listIssuers(cluster.admin, mount))[0]?.id;
    await replaceCa();
    await deleteData(cluster.admin, `${mount}/issuer/${first}`);
    ageCa(manifest, 8);
    isAsked = true;
    try {
      expect(outcomesOf(await host.run(manifest))).toEqual(["issued"]);
    } finally {
      setSystemTime();
    }
  });

  test("that can't be asked for fails its own certificate alone, and leaves it in place", async () => {
    const { sign } = await makeMount(cluster);
    await using host = manifestHost(cluster, ({ path }) =>
      path.endsWith("/issuers")
        ? Response.json({ errors: ["permission denied"] }, { status: 403 })
        : undefined,
    );
    const [manifest, other] = [host.manifest("it", sign), host.manifest("other", sign)];
    await host.run(manifest);
    const before = readFiles(manifest);
    ageCa(manifest, 8);
    expect(outcomesOf(await host.run(manifest, other))).toEqual(["permission", "issued"]);
    expect(readFiles(manifest)).toEqual(before);
  });
});
