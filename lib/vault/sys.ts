import type { VaultClient } from "./client.ts";
import { deleteData, readData, writeData } from "./data.ts";
import { VaultError } from "./error.ts";
import { type Fields, isFields } from "./shape.ts";

/**
 * Whether the server is sealed. Needs no token. Like any answer, this one tells the client the server's time.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/system/seal-status
 */
export async function readSealed(client: VaultClient): Promise<boolean> {
  const answer = await client.ask({
    method: "GET",
    path: "sys/seal-status",
    capability: "read",
    repeatable: true,
  });
  return answer.boolean("sealed");
}

/** A mounted secrets engine, as the server lists it. */
export interface MountInfo {
  readonly type: string;
  readonly description: string;
  /** Zero if the server's default applies. */
  readonly defaultLeaseTtlSeconds: number;
  readonly maxLeaseTtlSeconds: number;
  /** Holds `version` for a kv engine. */
  readonly options: Fields;
}

/**
 * All mounted secrets engines by path, without the closing slash.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/system/mounts#list-mounted-secrets-engines
 */
export async function listMounts(client: VaultClient): Promise<ReadonlyMap<string, MountInfo>> {
  const answer = await client.ask({
    method: "GET",
    path: "sys/mounts",
    capability: "read",
    repeatable: true,
  });
  const data = answer.object("data");
  return new Map(
    Object.keys(data.fields).map((path) => {
      const mount = data.object(path);
      const config = mount.object("config");
      const { options } = mount.fields;
      return [
        path.replace(/\/$/, ""),
        {
          type: mount.string("type"),
          description: mount.string("description"),
          defaultLeaseTtlSeconds: config.number("default_lease_ttl"),
          maxLeaseTtlSeconds: config.number("max_lease_ttl"),
          options: options === null || options === undefined ? {} : mount.object("options").fields,
        },
      ];
    }),
  );
}

/**
 * The mount that a path is in. The token needs some capability on some path in that mount.
 *
 * @returns its path with the closing slash, and its options; undefined if the token lacks that, or the server is too
 *   old
 * @see https://developer.hashicorp.com/vault/api-docs/system/internal-ui-mounts
 */
export async function findMount(
  client: VaultClient,
  path: string,
): Promise<{ readonly path: string; readonly options: Fields } | undefined> {
  try {
    const data = await readData(client, `sys/internal/ui/mounts/${path}`);
    if (data === undefined) return undefined;
    const { options } = data.fields;
    return { path: data.nonEmptyString("path"), options: isFields(options) ? options : {} };
  } catch (error) {
    if (error instanceof VaultError && (error.status === 403 || error.status === 404)) return undefined;
    throw error;
  }
}

export interface MountTuning {
  readonly description?: string;
  readonly defaultLeaseTtlSeconds?: number;
  readonly maxLeaseTtlSeconds?: number;
}

/**
 * Mounts a secrets engine.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/system/mounts#enable-secrets-engine
 */
export async function enableMount(
  client: VaultClient,
  path: string,
  type: string,
  tuning: MountTuning,
): Promise<void> {
  const { description, ...config } = tuningFields(tuning);
  await client.request({
    method: "POST",
    path: `sys/mounts/${path}`,
    body: { type, description, config },
    capability: "create update",
    // If the first request took effect, a repeat would be refused ("path is already in use") and look like a failure.
    repeatable: false,
  });
}

/**
 * Changes a mount's description and lease TTLs.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/system/mounts#tune-mount-configuration
 */
export async function tuneMount(client: VaultClient, path: string, tuning: MountTuning): Promise<void> {
  await writeData(client, `sys/mounts/${path}/tune`, tuningFields(tuning));
}

function tuningFields(tuning: MountTuning) {
  const { description, defaultLeaseTtlSeconds, maxLeaseTtlSeconds } = tuning;
  return {
    ...(description === undefined ? {} : { description }),
    ...(defaultLeaseTtlSeconds === undefined ? {} : { default_lease_ttl: `${defaultLeaseTtlSeconds}s` }),
    ...(maxLeaseTtlSeconds === undefined ? {} : { max_lease_ttl: `${maxLeaseTtlSeconds}s` }),
  };
}

/**
 * An auth method's max lease TTL in seconds: its own, or else the server's.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/system/auth#read-auth-method-tuning
 */
export async function readAuthMaxLeaseTtl(client: VaultClient, path: string): Promise<number> {
  const answer = await client.ask({
    method: "GET",
    path: `sys/auth/${path}/tune`,
    capability: "read sudo",
    repeatable: true,
  });
  return answer.object("data").number("max_lease_ttl");
}

/**
 * Sets an auth method's max lease TTL.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/system/auth#tune-auth-method
 */
export async function tuneAuthMaxLeaseTtl(client: VaultClient, path: string, seconds: number): Promise<void> {
  await writeData(client, `sys/auth/${path}/tune`, { max_lease_ttl: `${seconds}s` }, "update sudo");
}

/**
 * A policy's text; undefined if there is no policy of that name.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/system/policies#read-acl-policy
 */
export async function readPolicy(client: VaultClient, name: string): Promise<string | undefined> {
  const data = await readData(client, `sys/policies/acl/${name}`);
  return data?.string("policy");
}

/**
 * Writes a policy and replaces the one of that name.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/system/policies#create-update-acl-policy
 */
export async function writePolicy(client: VaultClient, name: string, policy: string): Promise<void> {
  await writeData(client, `sys/policies/acl/${name}`, { policy });
}

/**
 * Deletes a policy. It is no error if there is none. Tokens still list its name, but lose what it granted.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/system/policies#delete-acl-policy
 */
export async function deletePolicy(client: VaultClient, name: string): Promise<void> {
  await deleteData(client, `sys/policies/acl/${name}`);
}

/**
 * The capabilities of the client's token on each path; `root` for a root token.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/system/capabilities-self
 */
export async function readCapabilities(
  client: VaultClient,
  paths: readonly string[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const answer = await client.ask({
    method: "POST",
    path: "sys/capabilities-self",
    body: { paths },
    capability: "update",
    repeatable: true,
  });
  const data = answer.object("data");
  return new Map(paths.map((path) => [path, data.strings(path)]));
}
