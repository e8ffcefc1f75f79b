import type { VaultClient } from "../vault/client.ts";
import { means } from "../vault/error.ts";
import { readSecret } from "../vault/kv.ts";
import type { Fields } from "../vault/shape.ts";
import { listMounts, type MountInfo } from "../vault/sys.ts";
import { isKnownToken, lookupSelf, type TokenInfo } from "../vault/token.ts";
import { isUnknownToken } from "../vault/unknown-token.ts";

/** Reads that several resources share. Each is sent once. */
export interface ServerView {
  readonly client: VaultClient;
  mounts(): Promise<ReadonlyMap<string, MountInfo>>;
  /** Whether a path is in one of the mounts. The server answers a read outside of them with an error. */
  isMounted(path: string): Promise<boolean>;
  /** A secret of a kv version 1 mount; undefined if it or its mount does not exist. */
  secret(path: string): Promise<Fields | undefined>;
  /** A token by its id; undefined if the server does not know it. */
  token(id: string): Promise<TokenInfo | undefined>;
}

/** Reads everything when it is first needed and remembers it, so a view is good for a single plan. */
export function createServerView(client: VaultClient): ServerView {
  let mounts: Promise<ReadonlyMap<string, MountInfo>> | undefined;
  const secrets = new Map<string, Promise<Fields | undefined>>();
  const tokens = new Map<string, Promise<TokenInfo | undefined>>();
  const view: ServerView = {
    client,
    mounts() {
      mounts ??= listMounts(client);
      return mounts;
    },
    async isMounted(path) {
      return [...(await view.mounts()).keys()].some((mount) => path.startsWith(`${mount}/`));
    },
    secret(path) {
      const read = async () => ((await view.isMounted(path)) ? await readSecret(client, path) : undefined);
      const asked = secrets.get(path) ?? read();
      secrets.set(path, asked);
      return asked;
    },
    token(id) {
      const asked = tokens.get(id) ?? findTokenForSure(client, id);
      tokens.set(id, asked);
      return asked;
    },
  };
  return view;
}

/** Looks a token up by itself; undefined if the server does not know it. */
export async function findToken(client: VaultClient, id: string): Promise<TokenInfo | undefined> {
  try {
    return await lookupSelf(client, id);
  } catch (error) {
    if (await isUnknownToken(client, id, error)) return undefined;
    throw error;
  }
}

/**
 * The same, but certain, for a plan that may replace the token. OpenBao gives the same answer to an unknown token and
 * to one that is bound to other addresses; only an admin's lookup can tell them apart. If the admin's token may not do
 * that, the token counts as unknown.
 *
 * @throws VaultError for a token that is bound to other addresses
 */
async function findTokenForSure(client: VaultClient, id: string): Promise<TokenInfo | undefined> {
  try {
    return await lookupSelf(client, id);
  } catch (error) {
    if (means(error, "unknownToken")) return undefined;
    if ((await isUnknownToken(client, id, error)) && !(await isKnownToken(client, id))) return undefined;
    throw error;
  }
}
