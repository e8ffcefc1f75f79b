import type { VaultClient } from "./client.ts";
import { deleteData, readData, writeData } from "./data.ts";
import { VaultError } from "./error.ts";
import { type Fields, isFields } from "./shape.ts";

/**
 * Whether the server is sealed. Needs no token; the client learns the server's time by it, as by any answer.
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
  return answer.truth("sealed");
}

/** A mounted secrets engine, as the server lists it. */
export interface MountInfo {
  readonly type: string;
  readonly description: string;
  /** Zero where the mount leaves it to the server. */
  readonly defaultLeaseTtlSeconds: number;
  readonly maxLeaseTtlSeconds: number;
  /** `version` for a kv engine. */
  readonly options: Fields;
}

/**
 * Every mounted secrets engine, by path without its closing slash.
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
          type: mount.text("type"),
          description: mount.text("description"),
          defaultLeaseTtlSeconds: config.number("default_lease_ttl"),
          maxLeaseTtlSeconds: config.number("max_lease_ttl"),
          options: options === null || options === undefined ? {} : mount.object("options").fields,
        },
      ];
    }),
  );
}

/**
 * The mount that a path is in, as a token may ask that can do anything at all below it.
 *
 * @returns its path with the closing slash, and its options; undefined where the server tells no such token, or is
 *   too old to tell
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
    return { path: data.filledText("path"), options: isFields(options) ? options : {} };
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
    // A repeat of one that took effect would be refused ("path is already in use") and hide that it had.
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
 * The longest life, in seconds, that an auth method gives: its own, or the server's where it has none.
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
 * Sets the longest life that an auth method gives.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/system/auth#tune-auth-method
 */
export async function tuneAuthMaxLeaseTtl(client: VaultClient, path: string, seconds: number): Promise<void> {
  await writeData(client, `sys/auth/${path}/tune`, { max_lease_ttl: `${seconds}s` }, "update sudo");
}

/**
 * A policy's text; undefined where there is none of that name.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/system/policies#read-acl-policy
 */
export async function readPolicy(client: VaultClient, name: string): Promise<string | undefined> {
  const data = await readData(client, `sys/policies/acl/${name}`);
  return data?.text("policy");
}

/**
 * Writes a policy, in place of the one of that name.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/system/policies#create-update-acl-policy
 */
export async function writePolicy(client: VaultClient, name: string, policy: string): Promise<void> {
  await writeData(client, `sys/policies/acl/${name}`, { policy });
}

/**
 * Takes a policy away; nothing where there is none of that name. Tokens that hold it keep its name, and lose what it
 * granted.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/system/policies#delete-acl-policy
 */
export async function deletePolicy(client: VaultClient, name: string): Promise<void> {
  await deleteData(client, `sys/policies/acl/${name}`);
}

/**
 * What the client's token may do on each path; `root` for one that may do all.
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
  return new Map(paths.map((path) => [path, data.texts(path)]));
}
