import { describe, expect, test } from "bun:test";
import { pkiMounts, secretsMount } from "../../lib/cluster/mounts.ts";
import { driftingCluster, undo } from "./drifting.ts";

const { admin, cluster, id, repair, faults } = await driftingCluster();
const pki = pkiMounts(cluster).map(({ path }) => path);
const mounts = [...pki, secretsMount(cluster).path];
const tuning = "sys/auth/token/tune";

describe("a mount", () => {
  const changes = [
    { description: "mine" },
    { description: "" },
    { default_lease_ttl: "1h" },
    { max_lease_ttl: "262800h" },
    { description: "mine", default_lease_ttl: "48h", max_lease_ttl: "72h" },
  ];
  test.each(mounts.flatMap((path) => changes.map((change) => [path, change] as const)))(
    "%s comes back from %o",
    async (path, change) => {
      await admin.write(`sys/mounts/${path}/tune`, change);
      expect(await faults()).not.toEqual([]);
      expect(await repair("setup-mounts")).toEqual([`sys/mounts/${path}/tune`]);
      expect(await faults()).toEqual([]);
    },
  );

  test("that was removed comes back with a new CA, and with its roles in the next half", async () => {
    const path = `${id}/pki/etcd-k8s`;
    await admin.remove(`sys/mounts/${path}`);
    expect(await repair("setup-mounts")).toEqual([`sys/mounts/${path}`, `${path}/root/generate/internal`]);
    expect(await repair("write-roles")).toEqual([`${path}/roles/client`, `${path}/roles/server`]);
    expect(await faults()).toEqual([]);
    expect(await admin.list(`${path}/issuers`)).toHaveLength(1);
  });
});

describe("a CA", () => {
  const newCa = async (path: string) => {
    await admin.remove(`${path}/root`);
    await repair("setup-mounts");
  };

  test.each(pki)("of %s that was removed is made again", async (path) => {
    await admin.remove(`${path}/root`);
    expect(await admin.list(`${path}/issuers`)).toEqual([]);
    expect(await repair("setup-mounts")).toEqual([`${path}/root/generate/internal`]);
    expect(await admin.list(`${path}/issuers`)).toHaveLength(1);
  });

  test("that the server made but did not make the default becomes the default", async () => {
    const path = `${id}/pki/k8s`;
    // These two leave the same as a set-up that is killed before the server is done.
    const { default: first } = await admin.find(`${path}/config/issuers`);
    await admin.write(`${path}/root/rotate/internal`, { common_name: "another", ttl: "72h" });
    await admin.remove(`${path}/issuer/${first}`);
    const issuers = await admin.list(`${path}/issuers`);
    expect(issuers).toHaveLength(1);
    expect(await admin.find(`${path}/config/issuers`)).toMatchObject({ default: "" });
    expect(await repair("setup-mounts")).toEqual([`${path}/config/issuers`]);
    expect(await admin.find(`${path}/config/issuers`)).toMatchObject({ default: issuers[0] });
  });

  test("whose key is elsewhere does not become the default", async () => {
    const path = `${id}/pki/k8s-api-proxy`;
    const { certificate } = await admin.find(`${id}/pki/k8s/issuer/default`);
    await using _ = undo(() => newCa(path));
    await admin.remove(`${path}/root`);
    await admin.write(`${path}/issuers/import/cert`, { pem_bundle: String(certificate) });
    expect(await repair("setup-mounts")).toEqual([]);
  });

  test("that may not sign does not become the default", async () => {
    const path = `${id}/pki/etcd-overlay`;
    await using _ = undo(() => newCa(path));
    const { default: first } = await admin.find(`${path}/config/issuers`);
    await admin.write(`${path}/root/rotate/internal`, { common_name: "another", ttl: "72h" });
    await admin.remove(`${path}/issuer/${first}`);
    const [last] = await admin.list(`${path}/issuers`);
    await admin.write(`${path}/issuer/${last}`, { usage: "read-only,crl-signing" });
    expect(await repair("setup-mounts")).toEqual([]);
    expect(await admin.find(`${path}/config/issuers`)).toMatchObject({ default: "" });
  });

  test("that an admin added stays beside the first", async () => {
    const path = `${id}/pki/k8s`;
    await admin.write(`${path}/root/rotate/internal`, { common_name: "another", ttl: "1h" });
    const issuers = await admin.list(`${path}/issuers`);
    expect(issuers).toHaveLength(2);
    expect(await repair("setup-mounts")).toEqual([]);
    expect(await admin.list(`${path}/issuers`)).toEqual(issuers);
  });
});

describe("the max lease TTL of auth/token", () => {
  const current = async () => (await admin.find(tuning)).max_lease_ttl;

  test("is raised if it is shorter", async () => {
    await admin.write(tuning, { max_lease_ttl: "157679999s" });
    expect(await repair("setup-mounts")).toEqual([tuning]);
    expect(await current()).toBe(157_680_000);
  });

  test("is raised if it is the server's default", async () => {
    await admin.write(tuning, { max_lease_ttl: "system" });
    expect(await current()).toBe(2_764_800);
    expect(await repair("setup-mounts")).toEqual([tuning]);
    expect(await current()).toBe(157_680_000);
  });

  test("is kept if it is longer", async () => {
    await using _ = undo(() => admin.write(tuning, { max_lease_ttl: "157680000s" }));
    await admin.write(tuning, { max_lease_ttl: "157680001s" });
    expect(await repair("setup-mounts")).toEqual([]);
    expect(await current()).toBe(157_680_001);
  });
});
