import { Failure } from "../failure.ts";
import type { VaultClient } from "../vault/client.ts";
import { means } from "../vault/error.ts";
import { generateRoot, hasDefaultIssuer, listIssuers, readIssuer, writeDefaultIssuer } from "../vault/pki.ts";
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
 * What `setup-mounts` keeps: how long tokens may live, the mounts, and a CA in each PKI mount. In this order, a
 * token of 5 years can be made once the first stands, and a CA of 20 years once its mount does.
 */
export function mountResources(cluster: Cluster): readonly Resource[] {
  const pki = pkiMounts(cluster);
  return [
    tokenTuning(),
    ...[...pki, secretsMount(cluster)].map(mountResource),
    ...pki.map((mount) => certificateAuthority(cluster, mount)),
  ];
}

/** The longest life of any token, which other users of the server may have set longer: raised, never lowered. */
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

/** To see which mounts there are. */
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
 * A PKI engine whose removal was cut off is started anew first. Vault (1.14 to 1.21 at least) ends its ACME part once
 * for each try, can wait for two of them, and holds up every other request at the third.
 */
async function removeMount(client: VaultClient, { path, type }: WantedMount): Promise<void> {
  try {
    if (type === "pki" && !(await answers(client, path))) await reloadMount(client, path);
    await disableMount(client, path);
  } catch (error) {
    if (!(await isGone(client, path))) throw error;
  }
}

/** Another teardown may have taken it away meanwhile: the server has many words for that. */
async function isGone(client: VaultClient, mount: string): Promise<boolean> {
  try {
    return !(await listMounts(client)).has(mount);
  } catch {
    return false;
  }
}

async function answers(client: VaultClient, mount: string): Promise<boolean> {
  try {
    await listIssuers(client, mount);
    return true;
  } catch (error) {
    if (means(error, "notMounted")) return false;
    throw error;
  }
}

/** Whether a mount stands at its path, and is of the type that it has to be. */
export function standsAsWanted(mounts: ReadonlyMap<string, MountInfo>, { path, type }: WantedMount): boolean {
  const found = mounts.get(path);
  return found !== undefined && mountType(found) === type;
}

/** The server takes no mount inside another, and would say so only once others are made. */
function refuseInTheWay(path: string, others: Iterable<string>): void {
  // `auth` is the server's own, and not listed.
  const other = ["auth", ...others].find((it) => path.startsWith(`${it}/`) || it.startsWith(`${path}/`));
  if (other === undefined) return;
  throw new Failure("config", `mount ${other} is in the way of ${path}`, {
    hint: "nothing was changed; move that mount elsewhere, or choose another cluster id",
  });
}

/** The type that a mount goes by here: kv version 1 is the `generic` of old under its new name. */
export function mountType(mount: MountInfo): string {
  const version = mount.options.version ?? "1";
  if (mount.type !== "kv") return mount.type;
  return version === "1" ? "generic" : `kv version ${version}`;
}

function refuseOtherType(wanted: WantedMount, { type }: Fields): void {
  if (type === wanted.type) return;
  const kind = wanted.type === "generic" ? "generic (kv version 1)" : wanted.type;
  throw new Failure("config", `mount ${wanted.path} is of type ${type}, and has to be ${kind}`, {
    hint: "nothing was changed; move that mount elsewhere, or choose another cluster id",
  });
}

/**
 * Any issuer will do: a CA that an admin brought, or rotated, is not ours to change. But the server names a CA that it
 * makes the default as the last step, and ends before it where nobody waits any more: such a one signs nothing.
 */
function certificateAuthority(cluster: Cluster, mount: WantedMount): Resource {
  return {
    kind: "CA",
    path: mount.path,
    rights: {
      // The list of issuers needs none.
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
      // One of another type has no issuers to list; the mount's own resource refuses it.
      if ((await view.mounts()).get(mount.path)?.type !== mount.type) return undefined;
      const [first, ...more] = await listIssuers(view.client, mount.path);
      if (first === undefined) return undefined;
      const isHalfMade = more.length === 0 && (await isUnused(view.client, mount.path, first));
      return isHalfMade ? { default_issuer: "none", issuer: first } : {};
    },
    differences: ({ default_issuer: from, issuer: to }) =>
      from === undefined ? [] : [{ field: "default_issuer", from, to }],
    async create(client) {
      // Another admin's run may have made one since the plan; a second would not be taken for wrong by anybody.
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

/** Whether the only issuer of a mount could sign, and is not asked to. One that an admin has forbidden to could not. */
async function isUnused(client: VaultClient, mount: string, id: string): Promise<boolean> {
  if (await hasDefaultIssuer(client, mount)) return false;
  const issuer = await readIssuer(client, mount, id);
  return issuer?.hasKey === true && issuer.mayIssue;
}
