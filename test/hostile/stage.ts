import { chmodSync, copyFileSync } from "node:fs";
import { join } from "node:path";
import { type ClusterServer, startCluster } from "../support/cluster-server.ts";
import { temporaryFolder } from "../support/folder.ts";
import { type Relay, startRelay } from "../support/relay.ts";
import { runCommand, type ScriptResult, scriptPath } from "../support/script.ts";

/** A real server with cluster `demo`, behind a relay that records the requests. */
export interface Stage extends AsyncDisposable {
  readonly server: ClusterServer;
  readonly relay: Relay;
  /** The environment of an admin, who needs no token file. */
  readonly admin: Readonly<Record<string, string>>;
}

/** A role that signs any name. */
export const signPath = "demo/pki/etcd-k8s/sign/server";

export async function setStage(): Promise<Stage> {
  const server = await startCluster();
  const relay = startRelay(server.address);
  return {
    server,
    relay,
    admin: { VAULT_ADDR: relay.address, VAULT_TOKEN: server.rootToken },
    async [Symbol.asyncDispose]() {
      await relay[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** A user without rights. */
export const otherUser = { uid: 65534, gid: 65534 } as const;

/** Runs an executable as that user, from a folder that this user can read. */
export async function runAsOtherUser(
  name: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<ScriptResult> {
  using place = temporaryFolder();
  chmodSync(place.path, 0o755);
  const copy = join(place.path, name);
  copyFileSync(await scriptPath(name), copy);
  const command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", copy, ...args];
  return await runCommand(command, { env });
}

/** Whether the error is one sentence, perhaps with a hint below it, and not a stack trace. */
export function isOneSentence({ stderr }: ScriptResult): boolean {
  return /^[a-z-]+: [^\n]*[^\n.]\n(?: {2}[^\n]+\n)?$/.test(stderr);
}
