import { Failure } from "../failure.ts";
import type { VaultClient } from "./client.ts";
import { deleteData, readData, writeData } from "./data.ts";
import { isNothingThere, VaultError } from "./error.ts";
import { type Fields, isFields } from "./shape.ts";
import { findMount } from "./sys.ts";

/**
 * A secret of a kv version 1 mount; undefined if there is none at the path.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v1#read-secret
 */
export async function readSecret(client: VaultClient, path: string): Promise<Fields | undefined> {
  const data = await readData(client, path);
  return data?.fields;
}

/**
 * Writes a secret of a kv version 1 mount and replaces the one at the path.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v1#create-update-secret
 */
export async function writeSecret(client: VaultClient, path: string, fields: Fields): Promise<void> {
  await writeData(client, path, fields);
}

/** The whole answer to a read. */
export interface WholeSecret {
  /** The path that was read. In a mount of kv version 2 it is below `data/`. */
  readonly path: string;
  /** The answer as the server wrote it, with every digit of its numbers. */
  readonly response: Fields;
  /** The secret itself. In version 2 it is only a part of the answer's `data`, beside the metadata. */
  readonly fields: Fields;
}

/**
 * Reads a secret of either version of kv, or any other path. In version 2 the path may leave `data/` out, as in
 * version 1.
 *
 * Sends one request. If that finds nothing or is refused, asks for the mount's version and, for version 2, reads below
 * `data/`: a host's policies grant only that path.
 *
 * @throws Failure (unavailable) if nothing is stored there; VaultError
 * @see https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version
 */
export async function readWholeSecret(client: VaultClient, path: string): Promise<WholeSecret> {
  try {
    return await readPath(client, path);
  } catch (error) {
    if (!isRefusedOrNothing(error)) throw error;
    const mount = await findMount(client, path);
    const isVersioned = mount?.options.version === "2";
    const name = mount === undefined ? "" : path.slice(mount.path.length);
    if (!isVersioned || name === "" || isApiPath(name)) throw explain(error, path, isVersioned);
    const found = `${mount.path}data/${name}`;
    return await readPath(client, found).catch((other) => {
      throw explain(other, found, true);
    });
  }
}

async function readPath(client: VaultClient, path: string): Promise<WholeSecret> {
  const answer = await client.ask({
    method: "GET",
    path,
    capability: "read",
    repeatable: true,
    exactNumbers: true,
  });
  const { data = null } = answer.fields;
  const fields = data === null ? {} : answer.object("data").fields;
  return { path, response: answer.fields, fields: versionIn(fields) ?? fields };
}

/** The secret within an answer's `data`, if that is a version with metadata, as in kv version 2. */
function versionIn({ data, metadata, ...more }: Fields): Fields | undefined {
  const isVersion =
    isFields(metadata) && typeof metadata.created_time === "string" && typeof metadata.version === "number";
  return isVersion && isFields(data) && Object.keys(more).length === 0 ? data : undefined;
}

/** @see https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2 */
function isApiPath(name: string): boolean {
  return /^(data|metadata|delete|undelete|destroy|subkeys)\//.test(name);
}

function isRefusedOrNothing(error: unknown): error is VaultError {
  return isNothingThere(error) || (error instanceof VaultError && error.status === 403);
}

/** A clearer error if nothing is stored at the path; any other error as it is. */
function explain(error: unknown, path: string, isVersioned: boolean): unknown {
  if (!isNothingThere(error)) return error;
  const deleted = isVersioned ? ", or its latest version was deleted" : "";
  return new Failure("unavailable", `nothing is stored at ${path} in Vault${deleted}`, {
    hint: "check the path; `vault kv list` on the path above shows an admin what is there",
    cause: error,
  });
}

/**
 * Deletes a secret of a kv version 1 mount. It is no error if there is none.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v1#delete-secret
 */
export async function deleteSecret(client: VaultClient, path: string): Promise<void> {
  await deleteData(client, path);
}
