import type { VaultClient } from "../vault/client.ts";
import { readClocks } from "../vault/clocks.ts";
import { listNames } from "../vault/data.ts";
import type { OnProgress } from "../vault/each.ts";
import { means } from "../vault/error.ts";
import { type ListedIssuer, listIssuers } from "../vault/issuers.ts";
import type { Cluster } from "./cluster.ts";
import { pkiMounts, secretsMount } from "./mounts.ts";
import { type Right, right } from "./rights.ts";
import { readStoredCertificates } from "./server-certificate.ts";

type Content =
  | "unexpiredCertificates"
  /** Including expired ones. */
  | "storedCertificates"
  | "issuers"
  /** Keys of its issuers. A CA that was rotated has several issuers with one key. */
  | "caKeys"
  /** Roles that set-up did not make. */
  | "otherRoles"
  | "secrets"
  /** Secrets that set-up did not make. */
  | "otherSecrets"
  /** Folders of secrets, which set-up does not make. Their contents are not counted. */
  | "folders";

/** How many of each a mount holds. A kind that its type can't hold is absent. */
export type MountContents = Readonly<Partial<Record<Content, number>>>;

/** The rights to count the contents of mounts. */
export function contentsRights(cluster: Cluster): readonly Right[] {
  return [
    right("list", secretsMount(cluster).path),
    ...pkiMounts(cluster).flatMap(({ path }) => [
      right("list", `${path}/certs`),
      right("list", `${path}/roles`),
      // OpenBao checks this path for the list.
      right("list", `${path}/roles/*`),
    ]),
  ];
}

/**
 * Counts the contents of one of a cluster's mounts, and those among them that set-up did not make.
 *
 * @param path of the mount
 * @param isMade whether a path is that of a role or secret that set-up or a rotation makes
 * @returns undefined for a path that is not one of them, and for a mount that the server is disabling
 */
export async function readMountContents(
  client: VaultClient,
  cluster: Cluster,
  path: string,
  isMade: (path: string) => boolean,
  onProgress: OnProgress,
): Promise<MountContents | undefined> {
  try {
    if (path === secretsMount(cluster).path) {
      return await countSecrets(client, path, isMade);
    }
    if (!pkiMounts(cluster).some((it) => it.path === path)) return undefined;
    return {
      ...(await countCertificates(client, path, onProgress)),
      ...countIssuers(await listIssuers(client, path)),
      otherRoles: othersOf(await listNames(client, `${path}/roles`), `${path}/roles`, isMade).length,
    };
  } catch (error) {
    if (means(error, "notMounted")) return undefined;
    throw error;
  }
}

function countIssuers(issuers: readonly ListedIssuer[]) {
  // A server that lists no keys is too old for rotations.
  const keys = new Set(issuers.map(({ id, keyId = id }) => keyId));
  // The key is elsewhere, and can't be lost here.
  keys.delete("");
  return { issuers: issuers.length, caKeys: keys.size };
}

function othersOf(
  names: readonly string[],
  folder: string,
  isMade: (path: string) => boolean,
): readonly string[] {
  return names.filter((name) => !isMade(`${folder}/${name}`));
}

async function countSecrets(client: VaultClient, mount: string, isMade: (path: string) => boolean) {
  const names = await listNames(client, mount);
  const secrets = names.filter((name) => !name.endsWith("/"));
  return {
    secrets: secrets.length,
    otherSecrets: othersOf(secrets, mount, isMade).length,
    folders: names.length - secrets.length,
  };
}

/** CAs and revoked certificates are not counted. */
async function countCertificates(client: VaultClient, mount: string, onProgress: OnProgress) {
  const { host, server } = readClocks(client);
  let stored = 0;
  let unexpired = 0;
  await readStoredCertificates(client, mount, onProgress, ({ x509, notAfter }) => {
    if (x509.ca) return;
    stored++;
    // A certificate counts as unexpired if either clock says so.
    if (notAfter > host || notAfter > server) unexpired++;
  });
  return { unexpiredCertificates: unexpired, storedCertificates: stored };
}
