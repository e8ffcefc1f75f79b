import type { VaultClient } from "../vault/client.ts";
import { means } from "../vault/error.ts";
import { readSecret } from "../vault/kv.ts";
import type { Fields } from "../vault/shape.ts";
import { listMounts, type MountInfo } from "../vault/sys.ts";
import { isKnownToken, lookupSelf, type TokenInfo } from "../vault/token.ts";
import { isUnknownToken } from "../vault/unknown-token.ts";

/** What several resources read of one server, asked for once. */
export interface ServerView {
  readonly client: VaultClient;
  mounts(): Promise<ReadonlyMap<string, MountInfo>>;
  /** Whether a path is in one of the mounts: a server that is asked for another one's says that it is wrong. */
  isMounted(path: string): Promise<boolean>;
  /** A secret of a kv version 1 mount; undefined where there is none, or not its mount yet. */
  secret(path: string): Promise<Fields | undefined>;
  /** A token by its id; undefined where the server does not know it. */
  token(id: string): Promise<TokenInfo | undefined>;
}

/** Asks nothing before it is asked; what it was told once it does not ask again, so it is for one plan. */
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

/** A token as it looks itself up; undefined where the server does not know it. */
export async function findToken(client: VaultClient, id: string): Promise<TokenInfo | undefined> {
  try {
    return await lookupSelf(client, id);
  } catch (error) {
    if (await isUnknownToken(client, id, error)) return undefined;
    throw error;
  }
}

/**
 * The same, for a plan that may give the token up: OpenBao answers one that is bound to other addresses as one that it
 * does not know, but for the lookup of an admin. One who may not do that goes by what there is.
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
