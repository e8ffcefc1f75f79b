import { randomHex } from "../../lib/host/durable.ts";
import type { ClusterServer } from "../support/cluster-server.ts";

/**
 * A PKI mount of its own, whose CA may be made anew.
 *
 * @param ttl of what its role signs; the server begins each half a minute early
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
  /** Makes another issuer, and has it sign from now on. */
  const setIssuer = async (kind: "existing" | "internal", body: object) => {
    const path = `${mount}/issuers/generate/root/${kind}`;
    const made: { data?: { issuer_id?: string } } = Object(await cluster.write(path, body));
    await cluster.write(`${mount}/config/issuers`, { default: made.data?.issuer_id });
  };
  return {
    mount,
    sign: `${mount}/sign/it`,
    /** Signs the CA's own certificate again: the same key and name, a longer life. */
    reissueCa: () => setIssuer("existing", { key_ref: "default", common_name: "the CA", ttl: "8700h" }),
    replaceCa: () => setIssuer("internal", { common_name: "the CA", key_type: "ec", ttl: "8000h" }),
  };
}
