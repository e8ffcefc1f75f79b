import type { VaultClient } from "./client.ts";

/**
 * Disables a secrets engine and deletes all its data. It is no error if there is none. The server needs milliseconds
 * for each certificate or secret. If it is interrupted, the mount stays in the list but serves no request.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/system/mounts#disable-secrets-engine
 */
export async function disableMount(client: VaultClient, path: string): Promise<void> {
  await client.request({
    method: "DELETE",
    path: `sys/mounts/${path}`,
    capability: "delete",
    unbroken: true,
    repeatable: false,
  });
}

/**
 * Restarts a secrets engine. Its data stays.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/system/plugins-reload-backend
 */
export async function reloadMount(client: VaultClient, path: string): Promise<void> {
  await client.request({
    method: "POST",
    path: "sys/plugins/reload/backend",
    body: { mounts: [`${path}/`] },
    capability: "update",
    repeatable: true,
  });
}
