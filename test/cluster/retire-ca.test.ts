import { describe, expect, test } from "bun:test";
import { stepText } from "../../lib/cluster/ca-rotation.ts";
import { defineCluster } from "../../lib/cluster/cluster.ts";
import { readMountCas } from "../../lib/cluster/mount-cas.ts";
import { planRetirement, type RetireWish, retireStepText } from "../../lib/cluster/retire-ca.ts";
import { planRotation } from "../../lib/cluster/rotate-ca.ts";
import { listKeys } from "../../lib/vault/issuers.ts";
import { newCsr } from "../faults/authority.ts";
import { devServer } from "../support/dev-server.ts";
import { failureOf } from "../support/failure.ts";
import { openssl } from "../support/openssl.ts";
import { api } from "./api.ts";
import { addRole, bareCluster, clusterWithCa, importOldCa, sign } from "./rotated.ts";
import { clientOf } from "./run.ts";

const { server } = await devServer();
const admin = api(server.address, server.rootToken);
const client = clientOf(server.address, server.rootToken);

const retire: RetireWish = { retire: true, force: false, deleteKey: false };
const force: RetireWish = { ...retire, force: true };
type Made = Awaited<ReturnType<typeof bareCluster>>;

/** A mount whose CA g1 was replaced by g2 some days ago, and the way to choose which of them signs. */
async function rotatedCluster(id: string, daysAgo: number) {
  const made = await bareCluster(admin, id);
  const ids: Record<string, string> = {
    g1: await importOldCa(admin, made.path, { name: "g1", daysOld: 100 }),
    g2: await importOldCa(admin, made.path, { name: "g2", daysOld: daysAgo }),
  };
  await addRole(admin, made.path);
  const signWith = (name: string) => admin.write(`${made.path}/config/issuers`, { default: ids[name] });
  await signWith("g1");
  return { ...made, signWith };
}

/** Completes the rotation to g2: adds the cross certificate, and makes g2 the default. */
async function complete({ cluster, k8s }: Made) {
  const plan = await planRotation(client, cluster, k8s, { renew: "key", key: undefined, again: false });
  await plan.apply(
    () => {},
    () => {},
  );
}

const planFor = ({ cluster, k8s }: Made, wish: RetireWish) =>
  planRetirement(client, cluster, k8s, wish, () => {});

async function apply(made: Made, wish: RetireWish): Promise<readonly string[]> {
  const plan = await planFor(made, wish);
  const steps: string[] = [];
  await plan.apply(
    () => {},
    (step) => steps.push(retireStepText(step).replace(/-[0-9a-f]{30,}|\d{4}-\d\d-\d\d/g, "…")),
  );
  return steps;
}

async function names(path: string): Promise<readonly string[]> {
  const { key_info } = await admin.find(`${path}/issuers?list=true`);
  return Object.values(key_info as Record<string, { issuer_name: string }>)
    .map(({ issuer_name }) => issuer_name)
    .toSorted();
}

describe("an older CA", () => {
  test("stays until its last certificate has expired or been revoked, and is told with their names", async () => {
    const made = await rotatedCluster("inuse", 10);
    const serials = [
      await sign(admin, made.path, "etcd-1", "20m"),
      await sign(admin, made.path, "etcd-1", "50m"),
      await sign(admin, made.path, "etcd-2", "30m"),
    ];
    await complete(made);
    await sign(admin, made.path, "etcd-2");
    const { older, steps } = await planFor(made, retire);
    expect(steps).toEqual([]);
    expect(older).toHaveLength(1);
    const [{ inUse, holds, readyAt } = { inUse: undefined, holds: [], readyAt: undefined }] = older;
    expect(inUse?.names.map(({ name, count }) => [name, count])).toEqual([
      ["etcd-1", 2],
      ["etcd-2", 1],
    ]);
    expect(holds).toEqual([
      `3 certificates of it in use, the last until ${inUse?.lastEnd?.toISOString().slice(0, 16).replace("T", " ")} UTC`,
    ]);
    expect(readyAt).toEqual(inUse?.lastEnd as Date);
    expect(Math.abs((readyAt?.getTime() ?? 0) - Date.now() - 50 * 60_000)).toBeLessThan(60_000);

    for (const serial of serials) await admin.write(`${made.path}/revoke`, { serial_number: serial });
    expect(await apply(made, retire)).toEqual([
      "keep the certificate of g1 in secret inuse/secrets/retired-ca-k8s…",
      "remove issuer g1 (CA, until …)",
    ]);
    // The cross certificate stays for readers that trust g1 alone.
    expect(await names(made.path)).toEqual(["g2", "g2-by-g1"]);
    expect(await apply(made, retire)).toEqual([]);
  });

  test("stays for eight days after the next one was made", async () => {
    const made = await rotatedCluster("young", 7);
    await complete(made);
    const { steps, older } = await planFor(made, retire);
    expect(steps).toEqual([]);
    expect(older[0]?.holds).toEqual([expect.stringContaining("g2 was made less than eight days ago")]);
    const days = ((older[0]?.readyAt?.getTime() ?? 0) - Date.now()) / 86_400_000;
    expect(Math.abs(days - 1)).toBeLessThan(0.01);
  });

  test("stays while a role names it, and while a role's certificates are not stored", async () => {
    const made = await rotatedCluster("pinned", 10);
    await addRole(admin, made.path, { issuer_ref: "g1" });
    await complete(made);
    const hold = async () => (await planFor(made, retire)).older[0];
    expect(await hold()).toMatchObject({
      holds: ["it signs for any: give these roles another issuer_ref first"],
      readyAt: undefined,
    });
    await addRole(admin, made.path, { no_store: true });
    expect((await hold())?.holds).toEqual([
      "certificates of any can't be counted: the server does not store them (no_store)",
    ]);
  });

  test("is kept in a secret with its certificate and the id of its key, which stays", async () => {
    const made = await rotatedCluster("kept", 10);
    await complete(made);
    await apply(made, retire);
    const [name = ""] = await admin.list("kept/secrets");
    const secret = await admin.find(`kept/secrets/${name}`);
    expect(secret).toMatchObject({ name: "g1", mount: made.path });
    expect(await listKeys(client, made.path)).toContain(String(secret.key_id));
    expect(openssl(["x509", "-noout", "-serial"], String(secret.certificate)).trim().toLowerCase()).toBe(
      `serial=${name.replace("retired-ca-k8s-", "")}`,
    );

    const deletes: RetireWish = { retire: false, force: false, deleteKey: true };
    expect(await apply(made, deletes)).toEqual(["delete the key of g1"]);
    expect(await listKeys(client, made.path)).not.toContain(String(secret.key_id));
    expect(await apply(made, deletes)).toEqual([]);
  });

  test("stays if it has become the default again since the plan was made", async () => {
    const made = await rotatedCluster("undone", 10);
    await complete(made);
    const plan = await planFor(made, retire);
    expect(plan.steps).not.toEqual([]);
    await made.signWith("g1");
    const { kind, message } = await failureOf(() =>
      plan.apply(
        () => {},
        () => {},
      ),
    );
    expect([kind, message]).toEqual(["temporary", "undone/pki/k8s has got another default issuer meanwhile"]);
    expect(await names(made.path)).toEqual(["g1", "g2", "g2-by-g1"]);
    expect(await admin.list("undone/secrets")).toEqual([]);
  });

  test("stays for a CA below it whose key is elsewhere, also if that is among the issuers", async () => {
    const made = await rotatedCluster("below", 10);
    const { data } = await admin.write(`${made.path}/root/sign-intermediate`, {
      csr: newCsr("CA below").csr,
      common_name: "CA below",
      ttl: "24h",
    });
    const { certificate } = data as { certificate: string };
    await admin.write(`${made.path}/issuers/import/cert`, { pem_bundle: certificate });
    await complete(made);
    const [g1] = (await planFor(made, retire)).older;
    expect(g1?.inUse.names).toMatchObject([{ name: "CA below", count: 1 }]);
  });

  test("stays if its certificate could not be kept: the mount of secrets is missing, or of another type", async () => {
    const made = await rotatedCluster("unkept", 10);
    await complete(made);
    const message = async () => (await failureOf(() => apply(made, retire))).message;
    await admin.remove("sys/mounts/unkept/secrets");
    expect(await message()).toBe("mount unkept/secrets is missing: it keeps the certificates of retired CAs");
    await admin.write("sys/mounts/unkept/secrets", { type: "kv", options: { version: "2" } });
    expect(await message()).toBe(
      "mount unkept/secrets is of type kv version 2, but has to be generic: it keeps the certificates of retired CAs",
    );
    expect(await names(made.path)).toEqual(["g1", "g2", "g2-by-g1"]);
  });

  test("goes by force, with its certificates revoked on its own CRL, and its cross certificate", async () => {
    const made = await rotatedCluster("stolen", 0.1);
    const serial = await sign(admin, made.path, "etcd-1");
    await complete(made);
    const fresh = await sign(admin, made.path, "etcd-1");
    const before = await planFor(made, force);
    expect(before.older[0]?.inUse.count).toBe(1);
    await before.apply(
      () => {},
      () => {},
    );
    const again = await planFor(made, force);
    expect(again.steps).toEqual([]);
    expect(await names(made.path)).toEqual(["g2"]);
    expect((await admin.find(`${made.path}/cert/${serial}`)).revocation_time).toBeGreaterThan(0);
    expect((await admin.find(`${made.path}/cert/${fresh}`)).revocation_time).toBe(0);
  });

  test("has its certificates on its CRL before its issuer is removed", async () => {
    const made = await rotatedCluster("crl", 0.1);
    const serial = await sign(admin, made.path, "etcd-1");
    await complete(made);
    const plan = await planFor(made, force);
    expect(plan.steps.map(({ do: what }) => what)).toEqual([
      "revoke",
      "publish CRLs",
      "keep certificate",
      "remove issuer",
      "remove issuer",
    ]);
    const stopped = new Error("stopped");
    const stop = plan.apply(
      (step) => {
        if (step.do === "remove issuer") throw stopped;
      },
      () => {},
    );
    expect(await stop.catch((error) => error)).toBe(stopped);
    const crl = await (await fetch(`${server.address}/v1/${made.path}/issuer/g1/crl/pem`)).text();
    const listed = openssl(["crl", "-noout", "-text"], crl).toLowerCase();
    expect(listed).toContain(serial.replaceAll(":", ""));
  });

  test("of three: each goes when it is ready, and the keys that cross certificates need stay", async () => {
    const made = await rotatedCluster("three", 20);
    await complete(made);
    const g3 = await importOldCa(admin, made.path, { name: "g3", daysOld: 10 });
    const serial = await sign(admin, made.path, "late");
    await admin.write(`${made.path}/config/issuers`, { default: g3 });
    await complete(made);
    expect(await names(made.path)).toEqual(["g1", "g2", "g2-by-g1", "g3", "g3-by-g2"]);
    expect(await apply(made, retire)).toHaveLength(2);
    expect(await names(made.path)).toEqual(["g2", "g2-by-g1", "g3", "g3-by-g2"]);
    await admin.write(`${made.path}/revoke`, { serial_number: serial });
    expect(await apply(made, { ...retire, deleteKey: true })).toEqual([
      "keep the certificate of g2 in secret three/secrets/retired-ca-k8s…",
      "remove issuer g2 (CA, until …)",
      "delete the key of g1",
    ]);
    // A reader that trusts g1 alone is led on by both cross certificates.
    expect(await names(made.path)).toEqual(["g2-by-g1", "g3", "g3-by-g2"]);
    expect((await planFor(made, { ...retire, deleteKey: true })).keptKeys).toMatchObject([
      { name: "g2", issuers: [{ name: "g2-by-g1" }] },
    ]);
  });

  test("that was renewed loses the certificate that the new one replaces", async () => {
    const made = await clusterWithCa(admin, "ended", 86_400);
    const aYear = defineCluster("ended", { caValiditySeconds: 86_400 * 365 });
    const plan = await planRotation(client, aYear, made.k8s, { renew: "certificate" });
    await plan.apply(
      () => {},
      () => {},
    );
    expect(await names(made.path)).toEqual(["", "g1-2"]);
    const { cas } = await readMountCas(client, made.path);
    await addRole(admin, made.path, { issuer_ref: cas[0]?.roots[1]?.id });
    // The role would sign nothing any more.
    expect(await apply(made, retire)).toEqual([]);
    await addRole(admin, made.path);
    expect(await apply(made, retire)).toHaveLength(1);
    expect(await names(made.path)).toEqual(["g1-2"]);

    // Certificates with the other subject do not lead to it.
    const { path } = made;
    await admin.write(`${path}/root/rotate/existing`, {
      issuer_name: "g1-9",
      common_name: "Renamed",
      key_ref: cas[0]?.keyId,
      ttl: "2h",
    });
    expect(await apply(made, retire)).toEqual([]);

    // The next one keeps the CA's name.
    const next = await planRotation(client, made.cluster, made.k8s, { renew: "certificate" });
    expect(next.steps.map(stepText)[0]).toBe("add issuer g1-3: a new certificate for the key of g1");
  });
});
