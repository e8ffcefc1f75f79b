import { startServer } from "../../lib/server/start-server.ts";
import { runScript, type ScriptResult } from "../support/script.ts";
import { type OldHost, type OldHostOptions, startOldHost } from "./host.ts";

/** A host's role. As in the Go tool's own tests, its init token's id is the same word. */
type Role = "etcd" | "master" | "worker" | "all";
const roles: readonly Role[] = ["etcd", "master", "worker", "all"];

/** A server with the cluster `test`, and hosts of it. */
export interface OldCluster extends AsyncDisposable {
  /** The output of set-up. */
  readonly setUp: ScriptResult;
  /** Runs the executable as an admin. */
  admin(...words: string[]): Promise<ScriptResult>;
  /** The environment of commands on a host. */
  env(initRole?: string): Readonly<Record<string, string>>;
  /** A new host that has only an init token. */
  host(role: Role, more?: Partial<OldHostOptions>): Promise<OldHost>;
}

export async function startOldCluster(): Promise<OldCluster> {
  const server = await startServer({ mode: "dev-tls" });
  const { address, caFile = "" } = server;
  const adminEnv = { VAULT_ADDR: address, VAULT_TOKEN: server.rootToken, VAULT_CACERT: caFile };
  const admin = (...words: string[]) => runScript("vault-helper", words, { env: adminEnv });
  return {
    setUp: await admin("setup", "test", ...roles.map((role) => `--init-token-${role}=${role}`)),
    admin,
    env: (initRole = "test-all") => ({
      VAULT_ADDR: address,
      VAULT_CAPATH: "/etc/vault/ca.pem",
      VAULT_INIT_ROLE: initRole,
    }),
    host: (role, more = {}) =>
      startOldHost({ server: address, caFile, initToken: role, initRole: `test-${role}`, ...more }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
