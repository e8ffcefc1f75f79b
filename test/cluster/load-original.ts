import { type Api, fields } from "./api.ts";
import type { ClusterObjects } from "./objects.ts";

/** Strings of several lines. The golden file keeps only the first. */
const rest = "\nthe rest of what the original made\n";

/**
 * Writes every object of the golden file to a server by plain calls, like the Go tool. This makes a cluster of the Go
 * tool, which we can adopt. Its CAs are made in the same way.
 */
export async function loadOriginal(api: Api, objects: ClusterObjects): Promise<void> {
  await api.write("sys/auth/token/tune", { max_lease_ttl: String(objects.auth_token_tune.max_lease_ttl) });
  for (const [path, { type, description, config }] of Object.entries(objects.mounts)) {
    await api.write(`sys/mounts/${path.replace(/\/$/, "")}`, { type, description, config });
  }
  const secrets = Object.keys(objects.mounts).find((path) => path.endsWith("/secrets/")) ?? "";
  for (const [mount, roles] of Object.entries(objects.pki_roles)) {
    const path = secrets.replace(/secrets\/$/, `pki/${mount}`);
    const { description, config } = fields(objects.mounts[`${path}/`]);
    await api.write(`${path}/root/generate/internal`, {
      common_name: description,
      ttl: fields(config).max_lease_ttl,
      exclude_cn_from_sans: true,
    });
    for (const [name, role] of Object.entries(roles)) await api.write(`${path}/roles/${name}`, role);
  }
  for (const [name, policy] of Object.entries(objects.policies)) {
    await api.write(`sys/policies/acl/${name}`, { policy });
  }
  for (const [name, role] of Object.entries(objects.token_roles)) {
    // Only the fields that the Go tool sends. The server shows more, and refuses some fields in both of their forms.
    const { allowed_policies, orphan, path_suffix, period, renewable } = role;
    await api.write(`auth/token/roles/${name}`, { allowed_policies, orphan, path_suffix, period, renewable });
  }
  for (const [name, secret] of Object.entries(objects.kv)) {
    const texts = Object.entries(secret).map(([field, value]) => {
      const first = /^<(.*)>$/.exec(String(value))?.[1];
      return [field, first === undefined ? value : first + rest];
    });
    await api.write(`${secrets}${name}`, Object.fromEntries(texts));
  }
  for (const { id, display_name, policies, period } of Object.values(objects.tokens)) {
    await api.write("auth/token/create-orphan", {
      id,
      display_name: String(display_name).replace(/^token-/, ""),
      policies,
      period: String(period),
    });
  }
}
