import { type Cluster, defineCluster } from "../../lib/cluster/cluster.ts";
import { pkiMounts, type WantedMount } from "../../lib/cluster/mounts.ts";
import { generateRoot } from "../../lib/vault/issuers.ts";
import { newCsr } from "../faults/authority.ts";
import { datedCa } from "../support/dated-ca.ts";
import type { Api } from "./api.ts";
import { clientOf, makeMounts } from "./run.ts";

/** A cluster with mounts, whose mount k8s alone has what a test puts there. */
export async function bareCluster(
  api: Api,
  id: string,
): Promise<{ cluster: Cluster; k8s: WantedMount; path: string }> {
  const cluster = defineCluster(id);
  await makeMounts(api, cluster);
  const k8s = pkiMounts(cluster).find(({ path }) => path.endsWith("/k8s"));
  if (k8s === undefined) throw new Error("the cluster has no mount k8s");
  return { cluster, k8s, path: k8s.path };
}

/** The same, with a CA in the mount k8s, and a role that signs for anybody for an hour. */
export async function clusterWithCa(api: Api, id: string, ttlSeconds = 86_400 * 365) {
  const made = await bareCluster(api, id);
  await generateRoot(clientOf(api.address, api.token), made.path, {
    commonName: made.k8s.description,
    ttlSeconds,
    key: { type: "ec", bits: 256 },
  });
  await addRole(api, made.path);
  return made;
}

export async function addRole(api: Api, path: string, fields: object = {}): Promise<void> {
  const role = { allow_any_name: true, enforce_hostnames: false, key_type: "any", max_ttl: "1h", ...fields };
  await api.write(`${path}/roles/any`, role);
}

/** Has a certificate signed. @returns its serial number, as the server writes it */
export async function sign(api: Api, path: string, commonName: string, ttl = "1h"): Promise<string> {
  const { csr } = newCsr(commonName);
  const { data } = await api.write(`${path}/sign/any`, { csr, common_name: commonName, ttl });
  return String((data as { serial_number: string }).serial_number);
}

interface ImportedCa {
  /** Empty for none. */
  readonly name: string;
  /** How many days ago it was made. */
  readonly daysOld: number;
  /** From when the days count, in milliseconds. @default the present */
  readonly now?: number;
  /** In how many days it ends. @default 300 */
  readonly daysLeft?: number;
  /** @default `/CN=Kubernetes CA` */
  readonly subject?: string;
  /** Lines of its extensions. @default a CA without a limit */
  readonly extensions?: readonly string[];
  /** Its key identifier, in hexadecimal. @default a hash of its key, as the server makes it */
  readonly keyIdentifier?: string;
}

/** Imports a CA that was made some days ago, with its key. @returns the issuer's id */
export async function importOldCa(api: Api, path: string, ca: ImportedCa): Promise<string> {
  const { name, daysOld, daysLeft = 300, subject = "/CN=Kubernetes CA", ...more } = ca;
  const { certificate, key } = datedCa({
    subject,
    from: -daysOld,
    until: daysLeft,
    ...more,
  });
  const { data } = await api.write(`${path}/issuers/import/bundle`, {
    pem_bundle: `${certificate.pem}\n${key}`,
  });
  const id = String((data as { imported_issuers: string[] }).imported_issuers[0]);
  if (name !== "") await api.write(`${path}/issuer/${id}`, { issuer_name: name });
  return id;
}
