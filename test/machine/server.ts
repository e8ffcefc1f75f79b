import { readFileSync } from "node:fs";
import { defineCluster } from "../../lib/cluster/cluster.ts";
import { planMounts, planRoles } from "../../lib/cluster/setup.ts";
import { type RaftOptions, type RaftServer, startServer } from "../../lib/server/server.ts";
import { createVaultClient, type VaultClient } from "../../lib/vault/client.ts";
import { readSecret, writeSecret } from "../../lib/vault/kv.ts";

/** A real server that can be away and come back with its data, with cluster `demo` set up in it. */
export interface DemoServer extends AsyncDisposable {
  readonly server: RaftServer;
  readonly admin: VaultClient;
  readonly initToken: string;
}

/** @param options its TLS; without, it listens in the clear */
export async function startDemoServer(options: Pick<RaftOptions, "tls"> = {}): Promise<DemoServer> {
  const server = await startServer({ mode: "raft", ...options });
  try {
    const admin = createVaultClient({
      address: server.address,
      token: server.rootToken,
      ...(options.tls && { tls: { ca: [readFileSync(options.tls.caFile, "utf8")] } }),
    });
    const cluster = defineCluster("demo");
    await (await planMounts(admin, cluster)).apply(() => {});
    // To make this RSA key takes longer than all the rest, and no host asks for it here.
    await writeSecret(admin, "demo/secrets/service-accounts", { key: "not asked for" });
    await (await planRoles(admin, cluster)).apply(() => {});
    const secret = await readSecret(admin, "demo/secrets/init_token_etcd");
    const initToken = String(secret?.init_token);
    return { server, admin, initToken, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}
