import { afterAll } from "bun:test";
import { startServer } from "../../lib/server/start-server.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import { type Fault, startRelay } from "./relay.ts";

/** A real server in memory, with a client for its root token. It ends after the tests of the file. */
export async function devServer() {
  const server = await startServer({ mode: "dev" });
  afterAll(() => server[Symbol.asyncDispose]());
  return { server, client: createVaultClient({ address: server.address, token: server.rootToken }) };
}

/** A real server in memory, with a relay in front. Both end after the tests of the file. */
export async function relayedServer(fault?: Fault) {
  const server = await startServer({ mode: "dev" });
  const relay = startRelay(server.address, fault);
  afterAll(async () => {
    await relay[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });
  return { server, relay };
}
