import type { VaultClient } from "./client.ts";

/**
 * Takes a mounted secrets engine away, with all that it holds; nothing where there is none. That takes the server
 * milliseconds for each certificate or secret. Where it is cut off the mount is listed, and answers nothing.
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
 * Starts a secrets engine anew, with what it holds.
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
