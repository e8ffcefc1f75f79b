import { Failure } from "../failure.ts";
import type { VaultClient } from "../vault/client.ts";
import { VaultError } from "../vault/error.ts";
import { readCapabilities } from "../vault/sys.ts";

/** The capabilities that a policy has to grant on a path. */
export interface Right {
  readonly path: string;
  readonly capabilities: readonly string[];
}

/** @param capabilities as `update sudo` */
export function right(capabilities: string, path: string): Right {
  return { path, capabilities: capabilities.split(" ") };
}

/** Rights on something that needs `create` when it is new: secrets of kv version 1, and token roles. */
export function storedRights(path: string) {
  return {
    read: [right("read", path)],
    create: [right("create", path)],
    update: [right("update", path)],
    delete: [right("delete", path)],
  };
}

/** Merges the rights on each path and keeps the order of the paths. */
export function mergeRights(rights: readonly Right[]): readonly Right[] {
  const byPath = Map.groupBy(rights, ({ path }) => path);
  return [...byPath].map(([path, its]) => ({
    path,
    capabilities: [...new Set(its.flatMap(({ capabilities }) => capabilities))],
  }));
}

/**
 * Checks by one request that the client's token has rights. If it may not ask, nothing is checked: the server will
 * refuse the actions themselves.
 *
 * @param tried `the token may not remove all of cluster demo`
 * @param undone `nothing was removed`
 * @throws Failure (permission) that names each missing right
 */
export async function requireRights(
  client: VaultClient,
  rights: readonly Right[],
  tried: string,
  undone: string,
): Promise<void> {
  const wanted = mergeRights(rights);
  const granted = await readGranted(client, wanted);
  const lacks = wanted.flatMap(({ path, capabilities }) => {
    const has = granted?.get(path) ?? ["root"];
    const missing = has.includes("root") ? [] : capabilities.filter((it) => !has.includes(it));
    return missing.map((it) => `"${it}" on ${path}`);
  });
  if (lacks.length === 0) return;
  throw new Failure("permission", tried, {
    hint: `${undone}; the token needs a policy with the capability ${lacks.join(", ")}`,
  });
}

/** The token's capabilities; undefined if it may not ask, or there is nothing to ask for. */
async function readGranted(client: VaultClient, rights: readonly Right[]) {
  if (rights.length === 0) return undefined;
  try {
    return await readCapabilities(
      client,
      rights.map(({ path }) => path),
    );
  } catch (error) {
    if (error instanceof VaultError && error.status === 403) return undefined;
    throw error;
  }
}
