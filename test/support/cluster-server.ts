import { defineCluster, type HostRole } from "../../lib/cluster/cluster.ts";
import { planMounts, planRoles } from "../../lib/cluster/setup-plan.ts";
import { startServer } from "../../lib/server/start-server.ts";
import { createVaultClient, type VaultClient } from "../../lib/vault/client.ts";
import { readSecret, writeSecret } from "../../lib/vault/kv.ts";
import { createFromRole } from "../../lib/vault/token.ts";

/** A real server with a cluster set up in it, for tests of a host's commands. */
export interface ClusterServer extends AsyncDisposable {
  readonly address: string;
  /** A client with the root token. */
  readonly admin: VaultClient;
  readonly rootToken: string;
  initToken(role: HostRole): Promise<string>;
  /** Makes a host token of that role. */
  hostToken(role: HostRole): Promise<string>;
  /** Writes with the root token. */
  write(path: string, body: object): Promise<unknown>;
  stop(): Promise<void>;
}

export async function startCluster(id = "demo"): Promise<ClusterServer> {
  const server = await startServer({ mode: "dev" });
  const { address, rootToken } = server;
  const admin = createVaultClient({ address, token: rootToken });
  await setUpCluster(admin, id);
  const initToken = (role: HostRole) => storedInitToken(admin, id, role);
  return {
    address,
    admin,
    rootToken,
    initToken,
    async hostToken(role) {
      const { token } = await createFromRole(admin, `${id}-${role}`, await initToken(role));
      return token;
    },
    write: (path, body) =>
      admin.request({ method: "POST", path, body, capability: "update", repeatable: false }),
    stop: () => server.stop(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** Sets up a cluster. */
export async function setUpCluster(admin: VaultClient, id: string): Promise<void> {
  const cluster = defineCluster(id);
  await (await planMounts(admin, cluster)).apply(() => {});
  // Making this RSA key takes longer than everything else, and no test of a host needs it.
  await writeSecret(admin, `${id}/secrets/service-accounts`, { key: "not asked for" });
  await (await planRoles(admin, cluster)).apply(() => {});
}

export async function storedInitToken(admin: VaultClient, id: string, role: HostRole): Promise<string> {
  const secret = await readSecret(admin, `${id}/secrets/init_token_${role}`);
  return String(secret?.init_token);
}
