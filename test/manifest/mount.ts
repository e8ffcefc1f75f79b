import { randomHex } from "../../lib/host/durable.ts";
import {
  crossSign,
  deleteIssuer,
  importIssuer,
  listIssuers,
  writeReadOnlyIssuer,
} from "../../lib/vault/issuers.ts";
import type { ClusterServer } from "../support/cluster-server.ts";

/**
 * A separate PKI mount, so that a test can replace its CA.
 *
 * @param ttl of the certificates of its role; the server lets them begin half a minute early
 */
export async function makeMount(cluster: ClusterServer, ttl = "720h") {
  const mount = `pki-${randomHex(4)}`;
  await cluster.write(`sys/mounts/${mount}`, { type: "pki", config: { max_lease_ttl: "8760h" } });
  await cluster.write(`${mount}/root/generate/internal`, {
    common_name: "the CA",
    key_type: "ec",
    ttl: "8000h",
  });
  const role = { allow_any_name: true, enforce_hostnames: false, key_type: "any", ttl, max_ttl: ttl };
  await cluster.write(`${mount}/roles/it`, role);
  const ownCa = { common_name: "the CA", key_type: "ec", ttl: "8000h" };
  const sameCa = { key_ref: "default", common_name: "the CA", ttl: "8700h" };
  /** Adds an issuer, and returns its id. */
  const addIssuer = async (kind: "existing" | "internal" = "internal", body: object = ownCa) => {
    const path = `${mount}/issuers/generate/root/${kind}`;
    const made: { data?: { issuer_id?: string } } = Object(await cluster.write(path, body));
    return made.data?.issuer_id ?? "";
  };
  /** Sets the issuer for roles that name none. */
  const setDefault = (issuer: string) => cluster.write(`${mount}/config/issuers`, { default: issuer });
  return {
    mount,
    sign: `${mount}/sign/it`,
    addIssuer,
    setDefault,
    /** Makes the role use this issuer instead of the default. */
    pin: (issuer: string) => cluster.write(`${mount}/roles/it`, { ...role, issuer_ref: issuer }),
    /** Signs the CA's own certificate again, with the same key and name and a longer validity. */
    reissueCa: async () => setDefault(await addIssuer("existing", sameCa)),
    replaceCa: async () => setDefault(await addIssuer()),
    /** The same, and the CA before certifies the new one. */
    crossReplaceCa: async () => {
      const { admin } = cluster;
      const before = (await listIssuers(admin, mount)).find(({ isDefault }) => isDefault);
      const id = await addIssuer();
      const made = (await listIssuers(admin, mount)).find((it) => it.id === id);
      const terms = { commonName: "the CA", notAfter: new Date(Date.now() + 5000 * 3_600_000) };
      const signing = { signerId: before?.id ?? "", keyId: made?.keyId ?? "", ...terms };
      const crossed = await importIssuer(admin, mount, await crossSign(admin, mount, signing));
      await writeReadOnlyIssuer(admin, mount, crossed, "cross");
      await setDefault(id);
    },
    removeCross: () => deleteIssuer(cluster.admin, mount, "cross"),
  };
}
