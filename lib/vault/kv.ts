import type { VaultClient } from "./client.ts";
import type { Fields } from "./shape.ts";
import { readData } from "./sys.ts";

/**
 * A secret of a kv version 1 mount; undefined where there is none at the path.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v1#read-secret
 */
export async function readSecret(client: VaultClient, path: string): Promise<Fields | undefined> {
  const data = await readData(client, path);
  return data?.fields;
}

/**
 * Writes a secret of a kv version 1 mount, in place of the one at the path.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v1#create-update-secret
 */
export async function writeSecret(client: VaultClient, path: string, fields: Fields): Promise<void> {
  await client.request({
    method: "POST",
    path,
    body: fields,
    capability: "create update",
    repeatable: true,
  });
}
