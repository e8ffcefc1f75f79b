import type { VaultClient } from "../vault/client.ts";
import { readSecret } from "../vault/kv.ts";
import type { Fields } from "../vault/shape.ts";
import { listMounts, type MountInfo } from "../vault/sys.ts";

/** What several resources read of one server, asked for once. */
export interface ServerView {
  readonly client: VaultClient;
  mounts(): Promise<ReadonlyMap<string, MountInfo>>;
  /** A secret of a kv version 1 mount; undefined where there is none. */
  secret(path: string): Promise<Fields | undefined>;
}

export function createServerView(client: VaultClient): ServerView {
  let mounts: Promise<ReadonlyMap<string, MountInfo>> | undefined;
  const secrets = new Map<string, Promise<Fields | undefined>>();
  return {
    client,
    mounts() {
      mounts ??= listMounts(client);
      return mounts;
    },
    secret(path) {
      const asked = secrets.get(path) ?? readSecret(client, path);
      secrets.set(path, asked);
      return asked;
    },
  };
}
