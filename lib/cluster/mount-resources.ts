import { Failure } from "../failure.ts";
import type { VaultClient } from "../vault/client.ts";
import { means } from "../vault/error.ts";
import {
  generateRoot,
  hasDefaultIssuer,
  listIssuers,
  readIssuer,
  writeDefaultIssuer,
} from "../vault/issuers.ts";
import type { Fields } from "../vault/shape.ts";
import {
  enableMount,
  listMounts,
  type MountInfo,
  readAuthMaxLeaseTtl,
  tuneAuthMaxLeaseTtl,
  tuneMount,
} from "../vault/sys.ts";
import { disableMount, reloadMount } from "../vault/unmount.ts";
import { type Cluster, tokenPeriodSeconds } from "./cluster.ts";
import { pkiMounts, secretsMount, type WantedMount } from "./mounts.ts";
import type { Resource } from "./plan.ts";
import { right } from "./rights.ts";

/**
 * The resources of `setup-mounts`: the tokens' max lease TTL, the mounts, and a CA in each PKI mount. The order
 * matters: a token of 5 years needs the max lease TTL, and a CA of 20 years needs that of its mount.
 */
export function mountResources(cluster: Cluster): readonly Resource[] {
  const pki = pkiMounts(cluster);
  return [
    tokenTuning(),
    ...[...pki, secretsMount(cluster)].map(mountResource),
    ...pki.map((mount) => certificateAuthority(cluster, mount)),
  ];
}

/** The max lease TTL of tokens. Other users of the server may need a longer one, so it is only raised. */
function tokenTuning(): Resource {
  const tuning = "sys/auth/token/tune";
  return {
    kind: "auth tuning",
    path: "auth/token",
    rights: {
      read: [right("read sudo", tuning)],
      create: [right("update sudo", tuning)],
      update: [right("update sudo", tuning)],
    },
    fields: { max_lease_ttl: tokenPeriodSeconds },
    async read({ client }) {
      return { max_lease_ttl: await readAuthMaxLeaseTtl(client, "token") };
    },
    differences({ max_lease_ttl: from }) {
      return typeof from === "number" && from >= tokenPeriodSeconds
        ? []
        : [{ field: "max_lease_ttl", from, to: tokenPeriodSeconds }];
    },
    create: (client) => tuneAuthMaxLeaseTtl(client, "token", tokenPeriodSeconds),
    update: (client) => tuneAuthMaxLeaseTtl(client, "token", tokenPeriodSeconds),
  };
}

/** The right to list the mounts. */
export const mountsRight = right("read", "sys/mounts");

function mountResource(mount: WantedMount): Resource {
  const { path, type, description, leaseTtlSeconds } = mount;
  const tuning = {
    description,
    defaultLeaseTtlSeconds: leaseTtlSeconds,
    maxLeaseTtlSeconds: leaseTtlSeconds,
  };
  return {
    kind: "mount",
    path,
    rights: {
      read: [mountsRight],
      create: [right("update", `sys/mounts/${path}`)],
      update: [right("update", `sys/mounts/${path}/tune`)],
      delete: [right("delete", `sys/mounts/${path}`)],
    },
    fields: { description, default_lease_ttl: leaseTtlSeconds, max_lease_ttl: leaseTtlSeconds },
    async read(view) {
      const mounts = await view.mounts();
      const found = mounts.get(path);
      if (found === undefined) refuseInTheWay(path, mounts.keys());
      return (
        found && {
          type: mountType(found),
          description: found.description,
          default_lease_ttl: found.defaultLeaseTtlSeconds,
          max_lease_ttl: found.maxLeaseTtlSeconds,
        }
      );
    },
    refuse: (found) => refuseOtherType(mount, found),
    create: (client) => enableMount(client, path, type, tuning),
    update: (client) => tuneMount(client, path, tuning),
    removal: {
      run: (client) => removeMount(client, mount),
    },
  };
}

/**
 * Removes a mount. If an earlier removal was interrupted, the engine is restarted first: Vault (at least 1.14 to 1.21)
 * stops a PKI engine's ACME part at each attempt, and the third such stop would block every other request.
 */
async function removeMount(client: VaultClient, { path, type }: WantedMount): Promise<void> {
  try {
    if (type === "pki" && !(await isServing(client, path))) await reloadMount(client, path);
    await disableMount(client, path);
  } catch (error) {
    if (!(await isGone(client, path))) throw error;
  }
}

/** Whether another teardown has removed the mount meanwhile. The server reports that in many ways. */
async function isGone(client: VaultClient, mount: string): Promise<boolean> {
  try {
    return !(await listMounts(client)).has(mount);
  } catch {
    return false;
  }
}

async function isServing(client: VaultClient, mount: string): Promise<boolean> {
  try {
    await listIssuers(client, mount);
    return true;
  } catch (error) {
    if (means(error, "notMounted")) return false;
    throw error;
  }
}

/** Whether a mount exists with the right type. */
export function isMountedAsWanted(
  mounts: ReadonlyMap<string, MountInfo>,
  { path, type }: WantedMount,
): boolean {
  const found = mounts.get(path);
  return found !== undefined && mountType(found) === type;
}

/** The server refuses a mount inside another, but would say so only after others were made. */
function refuseInTheWay(path: string, others: Iterable<string>): void {
  // `auth` belongs to the server and is not listed.
  const other = ["auth", ...others].find((it) => path.startsWith(`${it}/`) || it.startsWith(`${path}/`));
  if (other === undefined) return;
  throw new Failure("config", `mount ${other} is in the way of ${path}`, {
    hint: "nothing was changed; move that mount elsewhere, or choose another cluster id",
  });
}

/** A mount's type as we name it. Servers now call `generic` kv version 1. */
export function mountType(mount: MountInfo): string {
  const version = mount.options.version ?? "1";
  if (mount.type !== "kv") return mount.type;
  return version === "1" ? "generic" : `kv version ${version}`;
}

function refuseOtherType(wanted: WantedMount, { type }: Fields): void {
  if (type === wanted.type) return;
  const kind = wanted.type === "generic" ? "generic (kv version 1)" : wanted.type;
  throw new Failure("config", `mount ${wanted.path} is of type ${type}, but has to be ${kind}`, {
    hint: "nothing was changed; move that mount elsewhere, or choose another cluster id",
  });
}

/**
 * The CA of a PKI mount. Any issuer is accepted, and one that an admin imported or rotated is never changed. But the
 * server makes a new CA the default only in a last step, which it skips if the client is gone by then. Such a CA can't
 * sign, so it is made the default here.
 */
function certificateAuthority(cluster: Cluster, mount: WantedMount): Resource {
  return {
    kind: "CA",
    path: mount.path,
    rights: {
      // Listing the issuers needs no right.
      read: [
        mountsRight,
        right("read", `${mount.path}/config/issuers`),
        right("read", `${mount.path}/issuer/*`),
      ],
      create: [right("update", `${mount.path}/root/generate/internal`)],
      update: [right("update", `${mount.path}/config/issuers`)],
    },
    fields: { common_name: mount.description, ttl: cluster.caValiditySeconds },
    async read(view) {
      // A mount of another type has no issuers. The mount's own resource refuses it.
      if ((await view.mounts()).get(mount.path)?.type !== mount.type) return undefined;
      const [first, ...more] = await listIssuers(view.client, mount.path);
      if (first === undefined) return undefined;
      const isHalfMade = more.length === 0 && (await couldBeDefault(view.client, mount.path, first.id));
      return isHalfMade ? { default_issuer: "none", issuer: first.id } : {};
    },
    differences: ({ default_issuer: from, issuer: to }) =>
      from === undefined ? [] : [{ field: "default_issuer", from, to }],
    async create(client) {
      // Another admin's run may have made a CA since the plan. Nobody would notice a second one.
      if ((await listIssuers(client, mount.path)).length > 0) return;
      await generateRoot(client, mount.path, {
        commonName: mount.description,
        ttlSeconds: cluster.caValiditySeconds,
        key: cluster.caKey,
      });
    },
    async update(client, [change]) {
      await writeDefaultIssuer(client, mount.path, String(change?.to));
    },
  };
}

/** Whether a mount has no default issuer, although this issuer has a key and may sign. */
async function couldBeDefault(client: VaultClient, mount: string, id: string): Promise<boolean> {
  if (await hasDefaultIssuer(client, mount)) return false;
  const issuer = await readIssuer(client, mount, id);
  return issuer !== undefined && issuer.keyId !== "" && issuer.mayIssue;
}
