import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { keepHostToken } from "../../lib/tasks/host-token.ts";
import type { HostTokenOptions, KeptToken } from "../../lib/tasks/renew-token.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import { lookupSelf } from "../../lib/vault/token.ts";
import type { ClusterServer } from "../support/cluster-server.ts";
import { temporaryFolder } from "../support/folder.ts";
import { type Fault, startRelay } from "../support/relay.ts";

/** A configuration folder, with a relay in front of the server. */
export function tokenHost(cluster: ClusterServer, files: Readonly<Record<string, string>>, fault?: Fault) {
  const folder = temporaryFolder();
  const relay = startRelay(cluster.address, fault);
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder.path, name), content, { mode: 0o600 });
  }
  const notes: string[] = [];
  return {
    path: folder.path,
    relay,
    notes,
    at: (name: string) => join(folder.path, name),
    stored: () => readFileSync(join(folder.path, "token"), "utf8"),
    keep: (more: Partial<HostTokenOptions> = {}): Promise<KeptToken> =>
      keepHostToken({
        client: createVaultClient({ address: relay.address }),
        configPath: folder.path,
        initRole: "demo-worker",
        signal: AbortSignal.timeout(20_000),
        onNote: (sentence) => notes.push(sentence),
        ...more,
      }),
    async [Symbol.asyncDispose]() {
      await relay[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

export async function madeToken({ admin }: ClusterServer, options: object): Promise<string> {
  const answer = await admin.ask({
    method: "POST",
    path: "auth/token/create",
    body: options,
    capability: "update",
    repeatable: false,
  });
  return answer.object("auth").string("client_token");
}

export async function revokedToken(cluster: ClusterServer): Promise<string> {
  const token = await cluster.hostToken("worker");
  await cluster.write("auth/token/revoke", { token });
  return token;
}

export const isAlive = ({ admin }: ClusterServer, token: string) =>
  lookupSelf(admin, token).then(
    () => true,
    () => false,
  );
