import { Failure } from "../failure.ts";
import type { VaultClient } from "../vault/client.ts";
import { VaultError } from "../vault/error.ts";
import { readCapabilities } from "../vault/sys.ts";

/** What a policy has to grant on a path, all of it. */
export interface Right {
  readonly path: string;
  readonly capabilities: readonly string[];
}

/** @param capabilities as `update sudo` */
export function right(capabilities: string, path: string): Right {
  return { path, capabilities: capabilities.split(" ") };
}

/** Of what a server tells new from old: secrets of kv version 1, and token roles. */
export function storedRights(path: string) {
  return {
    read: [right("read", path)],
    create: [right("create", path)],
    update: [right("update", path)],
    delete: [right("delete", path)],
  };
}

/** The same with each path once, in the order in which they come first. */
export function mergeRights(rights: readonly Right[]): readonly Right[] {
  const byPath = Map.groupBy(rights, ({ path }) => path);
  return [...byPath].map(([path, its]) => ({
    path,
    capabilities: [...new Set(its.flatMap(({ capabilities }) => capabilities))],
  }));
}

/**
 * Makes sure that the client's token has rights, by one request. What can't be asked is left to be refused by itself.
 *
 * @param tried `the token may not remove all of cluster demo`
 * @param undone `nothing was removed`
 * @throws Failure (permission) that names each right that it lacks
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

/** What the token may do; undefined where it may not ask that, or there is nothing to ask. */
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
