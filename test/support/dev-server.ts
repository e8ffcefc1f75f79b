import { afterAll } from "bun:test";
import { startServer } from "../../lib/server/start-server.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import { type Fault, startRelay } from "./relay.ts";

/** A real server in memory, and a client with its root token, for the tests of one file: it ends with them. */
export async function devServer() {
  const server = await startServer({ mode: "dev" });
  afterAll(() => server[Symbol.asyncDispose]());
  return { server, client: createVaultClient({ address: server.address, token: server.rootToken }) };
}

/** A real server in memory, and a relay before it, for the tests of one file: both end with them. */
export async function relayedServer(fault?: Fault) {
  const server = await startServer({ mode: "dev" });
  const relay = startRelay(server.address, fault);
  afterAll(async () => {
    await relay[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });
  return { server, relay };
}
