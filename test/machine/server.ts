import { readFileSync } from "node:fs";
import type { RaftOptions, RaftServer } from "../../lib/server/server.ts";
import { startServer } from "../../lib/server/start-server.ts";
import { createVaultClient, type VaultClient } from "../../lib/vault/client.ts";
import { setUpCluster, storedInitToken } from "../support/cluster-server.ts";

/** A real server with cluster `demo` that can go away and come back with its data. */
export interface DemoServer extends AsyncDisposable {
  readonly server: RaftServer;
  readonly admin: VaultClient;
  readonly initToken: string;
}

/** @param options its TLS; without it the server listens without TLS */
export async function startDemoServer(options: Pick<RaftOptions, "tls"> = {}): Promise<DemoServer> {
  const server = await startServer({ mode: "raft", ...options });
  try {
    const admin = createVaultClient({
      address: server.address,
      token: server.rootToken,
      ...(options.tls && { tls: { ca: [readFileSync(options.tls.caFile, "utf8")] } }),
    });
    await setUpCluster(admin, "demo");
    const initToken = await storedInitToken(admin, "demo", "etcd");
    return { server, admin, initToken, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}
