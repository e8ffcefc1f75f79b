import { afterAll, describe, expect, setSystemTime, test } from "bun:test";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { lookAtSet } from "../../lib/host/certificate-set.ts";
import { readPending } from "../../lib/host/pending.ts";
import type { Manifest } from "../../lib/manifest/manifest.ts";
import { isUntouched, parseRecord } from "../../lib/renewal/request.ts";
import { runPendingHooks } from "../../lib/tasks/hooks.ts";
import { deleteData } from "../../lib/vault/data.ts";
import { readCertificates } from "../../lib/x509/certificate.ts";
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
    const chain = `${mount}/issuer/default/json`;
    for (const [days, asked] of [
      [6.9, []],
      [7.1, [chain]],
      [6.9, []],
      [7.1, [chain]],
      // Noted by a clock that was ahead, and has been set since.
      [-1, [chain]],
      [-3000, [chain]],
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

  test("that is another one leads to a new certificate for the same key", async () => {
    const { sign, replaceCa } = await makeMount(cluster);
    await using host = manifestHost(cluster);
    const manifest = host.manifest("it", sign);
    await host.run(manifest);
    const before = readFiles(manifest);
    await replaceCa();
    ageCa(manifest, 8);
    const [outcome] = await host.run(manifest);
    expect(
      outcome !== undefined && "issued" in outcome && [outcome.issued.outcome, outcome.issued.reasons],
    ).toEqual(["issued", ["the server has another CA by now"]]);
    const after = readFiles(manifest);
    expect([
      after.key === before.key,
      after.certificate === before.certificate,
      after.ca === before.ca,
    ]).toEqual([true, false, false]);
    openssl(["verify", "-CAfile", `${manifest.destination}-ca.pem`, `${manifest.destination}.pem`]);
  });

  test("need not be the CA that signs for a role; a change of it is followed once", async () => {
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
    const chain = `${mount}/issuer/default/json`;
    expect([await run(), await run()]).toEqual([
      ["not due", chain],
      ["not due", chain],
    ]);
    await replaceCa();
    expect([await run(), await run(), await run()]).toEqual([
      ["issued", chain, sign],
      ["not due", chain],
      ["not due", chain],
    ]);
    // The next certificate is of the same CA, and nothing more is asked.
    const renewed = host.manifest("it", sign, 'san_hosts = ["a"]');
    host.relay.reset();
    expect(outcomesOf(await host.run(renewed))).toEqual(["issued"]);
    expect(host.relay.passed.map(({ path }) => path)).toEqual([sign]);
    ageCa(manifest, 8);
    expect(outcomesOf(await host.run(renewed))).toEqual(["not due"]);
  });

  test("was not recorded by older versions: such a role gets one new certificate, and no more", async () => {
    const { sign, addIssuer, pin } = await makeMount(cluster);
    await pin(await addIssuer());
    await using host = manifestHost(cluster);
    const manifest = host.manifest("it", sign);
    await host.run(manifest);
    const record = manifest.destination.replace(/([^/]+)$/, ".$1.set/current/request.json");
    const { serverCa, ...older } = JSON.parse(readFileSync(record, "utf8"));
    expect(serverCa).toMatch(/^[0-9A-F]{2}(:[0-9A-F]{2}){31}$/);
    writeFileSync(record, JSON.stringify(older));
    for (const outcome of ["issued", "not due", "not due"]) {
      ageCa(manifest, 8);
      expect(outcomesOf(await host.run(manifest))).toEqual([outcome]);
    }
  });

  test("may be missing if roles name an issuer, and is an error if it went missing", async () => {
    const { mount, sign, addIssuer, pin } = await makeMount(cluster);
    await pin(await addIssuer());
    await using host = manifestHost(cluster);
    const [manifest, before] = [host.manifest("it", sign), host.manifest("before", sign)];
    await host.run(before);
    await deleteData(cluster.admin, `${mount}/issuer/default`);
    expect(outcomesOf(await host.run(manifest))).toEqual(["issued"]);
    ageCa(manifest, 8);
    ageCa(before, 8);
    expect(outcomesOf(await host.run(manifest, before))).toEqual(["not due", "config"]);
    expect(outcomesOf(await host.run(manifest))).toEqual(["not due"]);
  });

  test("that changes during signing: the certificate is signed again", async () => {
    const { mount, sign, replaceCa } = await makeMount(cluster);
    await using host = manifestHost(cluster, async ({ path }, _, pass) => {
      const answer = await pass();
      if (path === sign && host.relay.writes().length === 1) await replaceCa();
      return answer;
    });
    const manifest = host.manifest("it", sign);
    expect(outcomesOf(await host.run(manifest))).toEqual(["issued"]);
    const chain = `${mount}/issuer/default/json`;
    expect(host.relay.passed.slice(1).map(({ path }) => path)).toEqual([sign, chain, sign]);
    openssl(["verify", "-CAfile", `${manifest.destination}-ca.pem`, `${manifest.destination}.pem`]);
    ageCa(manifest, 8);
    expect(outcomesOf(await host.run(manifest))).toEqual(["not due"]);
  });

  test("is that of the issuer in the sign path, if one is named there", async () => {
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
    expect(host.relay.passed.map(({ path }) => path)).toEqual([`${mount}/issuer/own/json`]);
    const before = readFiles(manifest);
    await cluster.write(`${mount}/issuer/${first}`, { issuer_name: "old" });
    await name(await addIssuer());
    expect(await look()).toEqual(["issued"]);
    expect(readFiles(manifest).ca).not.toBe(before.ca);
    expect(await look()).toEqual(["not due"]);
  });

  test("may be unknown: certificates are issued all the same", async () => {
    const { sign } = await makeMount(cluster);
    await using host = manifestHost(cluster, ({ path }) =>
      path.endsWith("/json") ? Response.json({ errors: ["internal"] }, { status: 500 }) : undefined,
    );
    const manifest = host.manifest("it", sign);
    expect(outcomesOf(await host.run(manifest))).toEqual(["issued"]);
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
      "issued",
    ]);
  });

  test("is still due after another mode of the key was written", async () => {
    const { mount, sign } = await makeMount(cluster);
    let isRefused = true;
    await using host = manifestHost(cluster, ({ path }) =>
      isRefused && path.endsWith("/json")
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
    expect(host.relay.passed.map(({ path }) => path)).toEqual([`${mount}/issuer/default/json`]);
  });

  test("is followed to its end if the window closes while the server is asked", async () => {
    const { sign, replaceCa } = await makeMount(cluster);
    const clock = (ms: number) => new Date(Date.now() + ms).toTimeString().slice(0, 5);
    let isAsked = false;
    await using host = manifestHost(cluster, ({ path }) => {
      if (isAsked && path.endsWith("/json")) setSystemTime(Date.now() + 3 * 60_000);
      return undefined;
    });
    const manifest = host.manifest("it", sign, `window = "${clock(-60_000)}-${clock(120_000)}"`);
    await host.run(manifest);
    await replaceCa();
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
      path.endsWith("/json") ? Response.json({ errors: ["permission denied"] }, { status: 403 }) : undefined,
    );
    const [manifest, other] = [host.manifest("it", sign), host.manifest("other", sign)];
    await host.run(manifest);
    const before = readFiles(manifest);
    ageCa(manifest, 8);
    expect(outcomesOf(await host.run(manifest, other))).toEqual(["permission", "issued"]);
    expect(readFiles(manifest)).toEqual(before);
  });
});
