import { beforeAll, describe, expect, test } from "bun:test";
import { actionText } from "../../lib/cli/action.ts";
import { type Cluster, defineCluster } from "../../lib/cluster/cluster.ts";
import { readClusterStatus } from "../../lib/cluster/cluster-status.ts";
import { pkiMounts } from "../../lib/cluster/mounts.ts";
import { planRetirement } from "../../lib/cluster/retire-ca.ts";
import { planRotation } from "../../lib/cluster/rotate-ca.ts";
import { planSetup } from "../../lib/cluster/setup-plan.ts";
import { planTeardown } from "../../lib/cluster/teardown.ts";
import type { VaultClient } from "../../lib/vault/client.ts";
import { devServer } from "../support/dev-server.ts";
import { movedClock, startRelay } from "../support/relay.ts";
import { api, fields } from "./api.ts";
import { loadOriginal } from "./load-original.ts";
import { goldenTokens, originalObjects } from "./objects.ts";
import { bareCluster, importOldCa } from "./rotated.ts";
import { clientOf, prepareRoles, run } from "./run.ts";

const { server } = await devServer();
const admin = api(server.address, server.rootToken);
const client = clientOf(server.address, server.rootToken);
await admin.write("sys/auth/token/tune", { max_lease_ttl: "157680000s" });

const day = 86_400_000;
const ignore = () => {};

/** A cluster with CAs that are quick to make. */
async function makeCluster(id: string): Promise<Cluster> {
  const cluster = defineCluster(id);
  await prepareRoles(admin, cluster);
  for (const { path, description } of pkiMounts(cluster)) {
    const root = { common_name: description, key_type: "ec", ttl: "175200h" };
    await admin.write(`${path}/root/generate/internal`, root);
  }
  await run("write-roles", client, cluster);
  return cluster;
}

/** Gives a mount of the cluster a CA with a new key. */
async function rotate(cluster: Cluster, path: string, onStep: (step: { do: string }) => void = ignore) {
  const [wanted] = pkiMounts(cluster).filter((it) => it.path === path);
  if (wanted === undefined) throw new Error(`the cluster has no mount ${path}`);
  const plan = await planRotation(client, cluster, wanted, { renew: "key", key: undefined, again: false });
  await plan.apply(onStep, ignore);
}

/** Has a certificate issued. Returns its serial number. */
async function issue(path: string, name: string, ttl: string): Promise<string> {
  const { data } = await admin.write(`${path}/issue/any`, { common_name: name, ttl });
  return String(fields(data).serial_number);
}

const statusOf = (cluster: Cluster, by: VaultClient = client) => readClusterStatus(by, cluster, {}, ignore);

describe("a mount with a new CA beside the older one", () => {
  const path = "rotated/pki/k8s";
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await makeCluster("rotated");
    await admin.write(`${path}/roles/any`, { allow_any_name: true, key_type: "ec", max_ttl: "2400h" });
    await issue(path, "one", "1h");
    await issue(path, "two", "240h");
    await admin.write(`${path}/revoke`, { serial_number: await issue(path, "three", "480h") });
    await rotate(cluster, path);
    await issue(path, "one", "2h");
  }, 30_000);

  test("needs no change by set-up, and is ok", async () => {
    expect((await planSetup(client, cluster)).changes).toEqual([]);
    expect((await statusOf(cluster)).state).toBe("ok");
  });

  test("has the certificates of each of its CAs counted, and its next step named", async () => {
    const { mounts, now } = await statusOf(cluster);
    const { cas = [], rotation } = mounts.find((it) => it.path === path) ?? {};
    expect(cas.map(({ name, signs, certificatesInUse }) => [name, signs, certificatesInUse])).toEqual([
      ["g1", false, 2],
      ["g2", true, 1],
    ]);
    expect(Number(cas[0]?.lastEnd) - now.getTime()).toBeWithin(10 * day - 60_000, 10 * day);
    expect(Number(cas[1]?.lastEnd) - now.getTime()).toBeWithin(day / 12 - 60_000, day / 12);
    expect(cas[0]?.keyId).not.toBe(cas[1]?.keyId);
    expect(rotation).toEqual({
      next: "rotate-ca rotated k8s --retire",
      readyAt: cas[0]?.lastEnd,
      holds: [
        `g1: 2 certificates of it in use, the last until ${cas[0]?.lastEnd?.toISOString().slice(0, 16).replace("T", " ")} UTC`,
        expect.stringContaining("g1: g2 was made less than eight days ago"),
      ],
    });
  });

  test("is the only one whose certificates are read", async () => {
    await using relay = startRelay(server.address);
    const { mounts } = await statusOf(cluster, clientOf(relay.address, server.rootToken));
    const listed = relay.passed.map((it) => it.path).filter((it) => /\/certs?(\/|$)/.test(it));
    expect(listed.length).toBeGreaterThan(4);
    expect(listed.filter((it) => !it.startsWith(`${path}/`))).toEqual([]);
    const others = mounts.filter((it) => it.path !== path && it.issuers.length > 0);
    expect(others.map(({ cas, rotation }) => [cas.length, cas[0]?.certificatesInUse, rotation])).toEqual(
      Array(3).fill([1, undefined, undefined]),
    );
  });

  test("can retire the older CA once its certificates have expired", async () => {
    await using relay = startRelay(
      server.address,
      movedClock(() => 11 * day),
    );
    const { mounts, now } = await statusOf(cluster, clientOf(relay.address, server.rootToken));
    const { cas = [], rotation } = mounts.find((it) => it.path === path) ?? {};
    expect(cas.map(({ certificatesInUse, lastEnd }) => [certificatesInUse, lastEnd])).toEqual(
      Array(2).fill([0, undefined]),
    );
    expect(rotation).toEqual({ next: "rotate-ca rotated k8s --retire", readyAt: now, holds: [] });
  });

  test("can't if an admin has to do something first", async () => {
    const { issuer_id: id } = await admin.find(`${path}/issuer/default`);
    const old = (await admin.list(`${path}/issuers`)).filter((it) => it !== id);
    const plain = await Promise.all(old.map((it) => admin.find(`${path}/issuer/${it}`)));
    const first = plain.find(({ issuer_name: name }) => name === "");
    await admin.write(`${path}/roles/hand`, { issuer_ref: first?.issuer_id, ttl: "1h" });
    const { mounts } = await statusOf(cluster);
    await admin.remove(`${path}/roles/hand`);
    const reason = "g1: it signs for hand: give these roles another issuer_ref first";
    expect(mounts.find((it) => it.path === path)?.rotation).toMatchObject({
      next: reason,
      readyAt: undefined,
      holds: expect.arrayContaining([reason]),
    });
  });
});

test("a CA ends with its own certificate, also if a cross certificate for it ends later", async () => {
  const { cluster, path } = await bareCluster(admin, "shorter");
  const id = await importOldCa(admin, path, { name: "g1", daysOld: 20, daysLeft: 300 });
  await importOldCa(admin, path, { name: "g2", daysOld: 10, daysLeft: 100 });
  await admin.write(`${path}/config/issuers`, { default: id });
  await rotate(cluster, path);
  const { mounts, now } = await statusOf(cluster);
  const cas = mounts.find((it) => it.path === path)?.cas ?? [];
  const days = cas.map(({ name, notAfter }) => [
    name,
    Math.round((notAfter.getTime() - now.getTime()) / day),
  ]);
  expect(days).toEqual([
    ["g1", 300],
    ["g2", 100],
  ]);
});

test("a rotation that was stopped is due, with the command that goes on", async () => {
  const cluster = await makeCluster("stopped");
  const path = "stopped/pki/etcd-k8s";
  const stop = (step: { do: string }) => {
    if (step.do === "make default") throw new Error("stopped");
  };
  await expect(rotate(cluster, path, stop)).rejects.toThrow("stopped");
  const { state, mounts } = await statusOf(cluster);
  const found = mounts.find((it) => it.path === path);
  expect([state, found?.state, found?.reasons, found?.fix && actionText(found.fix)]).toEqual([
    "due",
    "due",
    ["g2 does not sign: a rotation was stopped or undone"],
    "rotate-ca stopped etcd-k8s --new-key",
  ]);
  await rotate(cluster, path);
  expect((await statusOf(cluster)).state).toBe("ok");
}, 30_000);

test("a cluster of the Go tool whose CA was rotated can be set up", async () => {
  await loadOriginal(admin, originalObjects("golden", goldenTokens));
  const cluster = defineCluster("golden");
  await rotate(cluster, "golden/pki/k8s");
  const { changes, apply } = await planSetup(client, cluster);
  expect(changes.filter(({ resource }) => ["mount", "CA"].includes(resource.kind))).toEqual([]);
  expect(changes.length).toBeGreaterThan(20);
  await apply(ignore);
  expect((await planSetup(client, cluster)).changes).toEqual([]);
  expect((await statusOf(cluster)).state).toBe("ok");
}, 60_000);

test("a teardown counts the keys of rotated CAs, and removes their mounts and their retired certificates", async () => {
  const cluster = await makeCluster("gone");
  const [first, second] = pkiMounts(cluster);
  if (first === undefined || second === undefined) throw new Error("a cluster has four mounts");
  await rotate(cluster, first.path);
  await rotate(cluster, second.path);
  const { certificate } = await admin.find(`${first.path}/issuer/default`);
  // Its key is elsewhere.
  await admin.write(`${pkiMounts(cluster)[3]?.path}/issuers/import/cert`, { pem_bundle: certificate });
  const wish = { retire: true, force: true, deleteKey: false };
  await (await planRetirement(client, cluster, second, wish, ignore)).apply(ignore, ignore);
  const { removals, apply } = await planTeardown(client, cluster, ignore);
  const contents = new Map(removals.map((it) => [it.resource.path, it.contents]));
  const counts = pkiMounts(cluster).map(({ path }) => contents.get(path));
  expect(counts.map((it) => [it?.issuers, it?.caKeys])).toEqual([
    [3, 2],
    [1, 1],
    [1, 1],
    [2, 1],
  ]);
  const names = await admin.list("gone/secrets");
  expect(names.filter((name) => name.startsWith("retired-ca-etcd-overlay-"))).toHaveLength(1);
  expect(contents.get("gone/secrets")).toMatchObject({ secrets: names.length, otherSecrets: 0 });
  await apply({ revokeHosts: false, onRemoved: ignore, onProgress: ignore });
  const left = Object.keys(await admin.find("sys/mounts"));
  expect(left.filter((path) => path.startsWith("gone/"))).toEqual([]);
}, 60_000);
