import { X509Certificate } from "node:crypto";
import { defineCluster } from "../../lib/cluster/cluster.ts";
import { readMountCas } from "../../lib/cluster/mount-cas.ts";
import { pkiMountPath, pkiMounts } from "../../lib/cluster/mounts.ts";
import { planRetirement, type RetireWish } from "../../lib/cluster/retire-ca.ts";
import { planRotation, type RotationWish } from "../../lib/cluster/rotate-ca.ts";
import { type Api, fields } from "../cluster/api.ts";
import { openssl } from "../support/openssl.ts";
import type { Scenario, World } from "./scenario.ts";
import { promise } from "./world.ts";

/** The mount whose CA changes. */
const pki = ({ cluster }: Pick<World, "cluster">) => pkiMountPath(defineCluster(cluster), "k8s");

/** What a world's mount held before the run. */
interface Before {
  /** The id of the older CA's key. */
  readonly keyId: string;
  /** The older CA's certificates, PEM. */
  readonly certificates: readonly string[];
  /** The serial numbers of what the older CA has signed for hosts. */
  readonly signed: readonly string[];
  /** The same of the CA that signs. */
  readonly current: readonly string[];
}

const before = new WeakMap<World, Before>();

function beforeOf(world: World): Before {
  const found = before.get(world);
  if (found === undefined) throw new Error("nothing was prepared");
  return found;
}

const day = 86_400;

/** Makes a CA that began some days ago. Its server accepts a beginning in the past, so nobody has to wait for days. */
async function makeCa(api: Api, path: string, days: number, body: object = {}) {
  const from = { not_before_duration: `${days * day}s` };
  const { data } = await api.write(path, { common_name: "the CA", ...from, ...body });
  const { issuer_id, key_id, certificate } = fields(data);
  return { issuerId: String(issuer_id), keyId: String(key_id), certificate: String(certificate) };
}

/** Has the default issuer sign certificates for hosts. Returns their serial numbers. */
async function sign(api: Api, mount: string, count: number): Promise<readonly string[]> {
  const issued = await Promise.all(
    Array.from({ length: count }, () => api.write(`${mount}/issue/hand`, { common_name: "x.example" })),
  );
  return issued.map(({ data }) => String(fields(data).serial_number));
}

/** A mount with one CA, which ends in so many days. */
async function oneCa(world: World, days: number): Promise<void> {
  const { api, cluster } = world;
  // The two that it needs: each mount takes time and memory of the server.
  for (const [path, type] of [
    [pki(world), "pki"],
    [`${cluster}/secrets`, "generic"],
  ] as const) {
    await api.write(`sys/mounts/${path}`, { type, config: { max_lease_ttl: "87600h" } });
  }
  const ca = await makeCa(api, `${pki(world)}/root/generate/internal`, 0, {
    key_type: "ec",
    ttl: `${days * day}s`,
  });
  before.set(world, { keyId: ca.keyId, certificates: [ca.certificate], signed: [], current: [] });
}

/** A mount whose second CA has signed for nine days. The first CA has two certificates, and has signed some itself. */
async function twoCas(world: World): Promise<void> {
  await oneCa(world, 100);
  const { api } = world;
  const mount = pki(world);
  const old = await makeCa(api, `${mount}/root/rotate/existing`, 20, {
    issuer_name: "g1-2",
    key_ref: "default",
    ttl: "4000h",
  });
  await api.write(`${mount}/roles/hand`, { allow_any_name: true, key_type: "ec", ttl: "1h" });
  const signed = await sign(api, mount, 3);
  const g2 = { issuer_name: "g2", key_name: "g2", key_type: "ec", ttl: "4000h" };
  const { issuerId } = await makeCa(api, `${mount}/root/rotate/internal`, 9, g2);
  const request = fields(
    (await api.write(`${mount}/intermediate/cross-sign`, { common_name: "the CA", key_ref: "g2" })).data,
  );
  const cross = await api.write(`${mount}/issuer/${old.issuerId}/sign-intermediate`, {
    csr: request.csr,
    use_csr_values: true,
    ttl: "3000h",
  });
  const { imported_issuers } = fields(
    (await api.write(`${mount}/issuers/import/cert`, { pem_bundle: fields(cross.data).certificate })).data,
  );
  const [crossId] = Array.isArray(imported_issuers) ? imported_issuers : [];
  await api.write(`${mount}/issuer/${crossId}`, { issuer_name: "g2-by-g1", usage: "read-only" });
  await api.write(`${mount}/config/issuers`, { default: issuerId });
  const { keyId, certificates } = beforeOf(world);
  const current = await sign(api, mount, 1);
  before.set(world, { keyId, certificates: [...certificates, old.certificate], signed, current });
}

async function revoke(world: World, serials: readonly string[]): Promise<void> {
  for (const serial of serials) await world.api.write(`${pki(world)}/revoke`, { serial_number: serial });
}

async function isRevoked(world: World, serial: string): Promise<boolean> {
  return Number((await world.api.find(`${pki(world)}/cert/${serial}`)).revocation_time) > 0;
}

/** The secrets with the certificates of retired CAs. */
async function keptCertificates({ api, cluster }: World): Promise<ReadonlyArray<Record<string, unknown>>> {
  const path = `${cluster}/secrets`;
  const names = (await api.list(path)).filter((name) => name.startsWith("retired-ca-k8s-"));
  return await Promise.all(names.map((name) => api.find(`${path}/${name}`)));
}

const wantedMount = (cluster: string) => {
  const path = pki({ cluster });
  const wanted = pkiMounts(defineCluster(cluster)).find((it) => it.path === path);
  if (wanted === undefined) throw new Error(`${path} is none of its mounts`);
  return wanted;
};

async function promiseRotated({ admin, cluster }: World, wish: RotationWish): Promise<void> {
  const { steps } = await planRotation(admin, defineCluster(cluster), wantedMount(cluster), wish);
  promise(steps.length === 0, `something still has to change: ${steps.map((step) => step.do).join(", ")}`);
}

async function promiseRetired({ admin, cluster }: World, wish: RetireWish): Promise<void> {
  const plan = await planRetirement(admin, defineCluster(cluster), wantedMount(cluster), wish, () => {});
  promise(plan.older.length === 0, "an older CA is left");
  promise(plan.steps.length === 0, `still to do: ${plan.steps.map((step) => step.do).join(", ")}`);
}

/** Without a key, without a default issuer, or with one that can't sign, no host gets a certificate. */
async function promiseSigning(world: World): Promise<void> {
  const { signing, default: current } = await readMountCas(world.admin, pki(world));
  promise(signing !== undefined && current?.mayIssue === true, "the mount's default issuer can't sign");
}

/** The old CA has gone, but neither its certificate nor what it vouches for. */
async function promiseRemoved(world: World, crosses: number, keys: number): Promise<void> {
  const { keyId, certificates, signed, current } = beforeOf(world);
  const { cas, issuers } = await readMountCas(world.admin, pki(world));
  promise(cas.length === 1 && cas[0]?.name === "g2" && cas[0].roots.length === 1, "g2 is not the only CA");
  promise(issuers.length === 1 + crosses, `there are ${issuers.length} issuers`);
  const kept = await keptCertificates(world);
  promise(kept.length === 1, `${kept.length} secrets hold certificates of retired CAs`);
  const latest = certificates.map((pem) => new X509Certificate(pem)).at(-1);
  const pem = kept[0]?.certificate;
  promise(
    typeof pem === "string" && new X509Certificate(pem).fingerprint256 === latest?.fingerprint256,
    "the secret holds another certificate",
  );
  const of = `key ${kept[0]?.key_id} of ${kept[0]?.name}`;
  promise(of === `key ${keyId} of g1`, `the secret has the ${of}`);
  const left = await world.api.list(`${pki(world)}/keys`);
  promise(left.length === keys, `the mount holds ${left.length} keys`);
  for (const serial of signed) promise(await isRevoked(world, serial), "a certificate of g1 is not revoked");
  for (const serial of current) promise(!(await isRevoked(world, serial)), "a certificate of g2 is revoked");
}

/** Afterwards the server would put a revocation on the CRL of the CA that signs. */
async function promiseRevokedFirst(world: World): Promise<void> {
  const { keyId, signed } = beforeOf(world);
  const mount = pki(world);
  const { issuers, cas } = await readMountCas(world.admin, mount);
  const its = issuers.filter((it) => it.keyId === keyId);
  const isBegun = its.length < 2 || issuers.every(({ name }) => name !== "g2-by-g1");
  const kept = await keptCertificates(world);
  const hasKey = (await world.api.list(`${mount}/keys`)).includes(keyId);
  promise(hasKey || its.length === 0, "the key is gone and an issuer is left");
  promise(!isBegun || kept.length === 1, "an issuer was removed before its certificate was kept");
  if (kept.length === 0) return;
  for (const serial of signed) promise(await isRevoked(world, serial), "revocation comes too late");
  const issuer = cas.find((ca) => ca.keyId === keyId)?.roots[0];
  // A run that goes on by itself on the server may remove it at this moment.
  const crl = issuer && (await world.api.read(`${mount}/issuer/${issuer.id}/crl`).catch(() => undefined));
  if (crl === undefined) return;
  const published = crlSerials(String(crl.crl));
  promise(
    signed.every((serial) => published.includes(serial.replaceAll(":", ""))),
    "the CRL was not published before",
  );
}

function crlSerials(pem: string): string {
  return openssl(["crl", "-noout", "-text"], pem).toLowerCase();
}

const aRetirement = { retire: true, force: false, deleteKey: false };

function rotation(
  name: string,
  args: readonly string[],
  more: Pick<Scenario, "prepare" | "stopped" | "done"> & Pick<Scenario, "onDisk">,
): Scenario {
  return {
    name,
    script: "rotate-ca",
    isAdmins: true,
    args: ({ cluster }) => [...args, cluster, "k8s"],
    ...more,
  };
}

function toNewKey(name: string, more: Pick<Scenario, "onDisk">): Scenario {
  return rotation(name, ["--new-key"], {
    ...more,
    prepare: (world) => oneCa(world, 100),
    stopped: promiseSigning,
    async done(world) {
      await promiseRotated(world, { renew: "key", key: undefined, again: false });
      const { keyId } = beforeOf(world);
      const {
        cas,
        issuers,
        signing,
        default: current,
        followsLatest,
      } = await readMountCas(world.admin, pki(world));
      promise(
        issuers.length === 3,
        `there are ${issuers.length} issuers: ${issuers.map((it) => it.name).join()}`,
      );
      promise(cas.length === 2 && cas[0]?.keyId === keyId, `there are ${cas.length} CAs`);
      promise(signing?.name === "g2" && current === signing.roots[0], "the new CA is not the default");
      const [cross, ...others] = signing.others;
      promise(others.length === 0, "it has several cross certificates");
      promise(
        cross?.name === "g2-by-g1" && !cross.mayIssue,
        "the cross certificate has no name, or may sign",
      );
      promise(!followsLatest, "the server chooses the default issuer by itself");
      const keys = await world.api.list(`${pki(world)}/keys`);
      promise(keys.length === 2, `the mount holds ${keys.length} keys`);
    },
  });
}

export const rotationScenarios: readonly Scenario[] = [
  rotation("renewal of a CA", [], {
    prepare: (world) => oneCa(world, 3),
    stopped: promiseSigning,
    async done(world) {
      await promiseRotated(world, { renew: "certificate" });
      const { keyId } = beforeOf(world);
      const { cas, issuers, default: current } = await readMountCas(world.admin, pki(world));
      promise(cas.length === 1 && issuers.length === 2, `there are ${issuers.length} issuers`);
      promise(current?.name === "g1-2" && current.keyId === keyId, "the new certificate is not the default");
      const keys = await world.api.list(`${pki(world)}/keys`);
      promise(keys.length === 1, `the mount holds ${keys.length} keys`);
    },
  }),
  toNewKey("rotation of a CA to a new key", {}),
  toNewKey("rotation of a CA to a new key, on disk", { onDisk: true }),
  rotation("retirement of a CA", ["--retire"], {
    async prepare(world) {
      await twoCas(world);
      await revoke(world, beforeOf(world).signed);
    },
    stopped: promiseRevokedFirst,
    async done(world) {
      await promiseRetired(world, aRetirement);
      await promiseRemoved(world, 1, 2);
    },
  }),
  rotation("retirement of a CA by force", ["--retire", "--force", "--delete-key"], {
    prepare: twoCas,
    stopped: promiseRevokedFirst,
    async done(world) {
      await promiseRetired(world, { retire: true, force: true, deleteKey: true });
      await promiseRemoved(world, 0, 1);
    },
  }),
];
