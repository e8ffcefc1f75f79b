import { Failure } from "../failure.ts";
import type { VaultClient } from "./client.ts";
import { deleteData, readData, writeData } from "./data.ts";
import { isNothingThere, VaultError } from "./error.ts";
import { type Fields, isFields } from "./shape.ts";
import { findMount } from "./sys.ts";

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
  await writeData(client, path, fields);
}

/** A read's whole answer. */
export interface WholeSecret {
  /** Where it was read: below `data/` in a mount of kv version 2. */
  readonly path: string;
  /** As the server wrote it, to the numbers' last digit. */
  readonly response: Fields;
  /** What is stored there: in version 2 a part of the answer's `data`, which holds the version's metadata, too. */
  readonly fields: Fields;
}

/**
 * Reads a path whole: a secret of either version of kv, or whatever answers there. The plain path of a secret of
 * version 2, as one writes it for version 1, is read below `data/`.
 *
 * One request; where that finds nothing or is refused, one more tells whether the mount is of version 2, since a host's
 * rights are for the path below `data/` alone.
 *
 * @throws Failure (unavailable) where nothing is stored; VaultError
 * @see https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version
 */
export async function readWholeSecret(client: VaultClient, path: string): Promise<WholeSecret> {
  try {
    return await readThere(client, path);
  } catch (error) {
    if (!isRefusedOrNothing(error)) throw error;
    const mount = await findMount(client, path);
    const isVersioned = mount?.options.version === "2";
    const name = mount === undefined ? "" : path.slice(mount.path.length);
    if (!isVersioned || name === "" || isBelowApi(name)) throw orNothing(error, path, isVersioned);
    const found = `${mount.path}data/${name}`;
    return await readThere(client, found).catch((other) => {
      throw orNothing(other, found, true);
    });
  }
}

async function readThere(client: VaultClient, path: string): Promise<WholeSecret> {
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

/** The secret in an answer's `data` that is a version with its metadata, as kv version 2 gives it. */
function versionIn({ data, metadata, ...more }: Fields): Fields | undefined {
  const isVersion =
    isFields(metadata) && typeof metadata.created_time === "string" && typeof metadata.version === "number";
  return isVersion && isFields(data) && Object.keys(more).length === 0 ? data : undefined;
}

/** @see https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2 */
function isBelowApi(name: string): boolean {
  return /^(data|metadata|delete|undelete|destroy|subkeys)\//.test(name);
}

function isRefusedOrNothing(error: unknown): error is VaultError {
  return isNothingThere(error) || (error instanceof VaultError && error.status === 403);
}

function orNothing(error: unknown, path: string, isVersioned: boolean): unknown {
  if (!isNothingThere(error)) return error;
  const deleted = isVersioned ? ", or its latest version was deleted" : "";
  return new Failure("unavailable", `nothing is stored at ${path} in Vault${deleted}`, {
    hint: "check the path; what is there, an admin lists with `vault kv list`, given the path above it",
    cause: error,
  });
}

/**
 * Deletes a secret of a kv version 1 mount; one that is not there is no error.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v1#delete-secret
 */
export async function deleteSecret(client: VaultClient, path: string): Promise<void> {
  await deleteData(client, path);
}
