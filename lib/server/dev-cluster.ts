import { lstatSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Cluster } from "../cluster/cluster.ts";
import { planMounts, planRoles, type SetupPlan } from "../cluster/setup-plan.ts";
import { initTokens } from "../cluster/token-roles.ts";
import { Failure } from "../failure.ts";
import { createFile } from "../host/durable.ts";
import { fileError, printable } from "../host/file-error.ts";
import { fullPath } from "../host/path.ts";
import { createVaultClient, type VaultClient } from "../vault/client.ts";
import { readSecret } from "../vault/kv.ts";
import { shellQuoted } from "../words.ts";
import { resolveServerBinary } from "./binary.ts";
import type { Server } from "./server.ts";
import { startServer } from "./start-server.ts";

export interface DevClusterOptions {
  readonly cluster: Cluster;
  readonly port: number;
  /** @default a random one */
  readonly rootToken?: string | undefined;
  /** The file for the tokens. It may not exist yet. @default in a temporary folder */
  readonly tokensFile?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Interrupts the start. A server that is already starting ends with this process. */
  readonly signal: AbortSignal;
  /** Called before each long step. */
  readonly onProgress: (line: string) => void;
  /** Called for each request and each change. */
  readonly onStep: (line: string) => void;
}

export interface DevCluster extends AsyncDisposable {
  readonly server: Server;
  /** Holds address, root token and init tokens as variables. It is removed at the end. */
  readonly tokensFile: string;
}

/**
 * Starts a server in memory and sets a cluster up in it, like `setup-mounts` and `write-roles`.
 *
 * @throws Failure (config) if no server is installed; (unavailable) if it can't listen on the port; (file) for the
 *   tokens' file; the signal's reason
 */
export async function startDevCluster(options: DevClusterOptions): Promise<DevCluster> {
  const { cluster, port, signal, onProgress, onStep } = options;
  const chosenFile = options.tokensFile === undefined ? undefined : freePath(options.tokensFile);
  const binary = await untilAborted(resolveServerBinary({ env: options.env, progress: onProgress }), signal);
  onProgress(`starting ${binary.path}`);
  const rootToken = options.rootToken === undefined ? {} : { rootToken: options.rootToken };
  const server = await untilAborted(startServer({ mode: "dev", binary, port, ...rootToken }), signal);
  try {
    const { address } = server;
    const onRequest = (method: string, path: string) => onStep(`${method} ${path}`);
    const client = createVaultClient({ address, token: server.rootToken, signal, onRequest });
    for (const [plan, what] of [
      [planMounts, "mounts and CAs"],
      [planRoles, "roles, secrets, policies and tokens"],
    ] as const) {
      onProgress(`setting up ${what} of ${cluster.id}`);
      await applyAll(await plan(client, cluster), onStep);
    }
    const variables = await tokenVariables(server, cluster, client);
    const tokensFile = chosenFile ?? join(server.dataDir, "tokens.env");
    writeTokens(tokensFile, variables);
    return { server, tokensFile, [Symbol.asyncDispose]: () => end(server, tokensFile) };
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

async function applyAll(plan: SetupPlan, onStep: (line: string) => void): Promise<void> {
  await plan.apply(({ action, resource }) => onStep(`${action} ${resource.kind} ${resource.path}`));
}

async function end(server: Server, tokensFile: string): Promise<void> {
  rmSync(tokensFile, { force: true });
  await server.stop();
  await server[Symbol.asyncDispose]();
}

/** Checked before anything is started: an existing file would be lost at the end. */
function freePath(path: string): string {
  const full = fullPath(path);
  if (lstatSync(full, { throwIfNoEntry: false }) === undefined) return full;
  throw new Failure("file", `something is at ${printable(full)} already`, {
    hint: "the tokens' file is removed at the end: choose a path that does not exist",
  });
}

/** For a shell, and for systemd's EnvironmentFile=. */
async function tokenVariables(
  { address, rootToken }: Server,
  cluster: Cluster,
  client: VaultClient,
): Promise<string> {
  const ids = await Promise.all(
    initTokens(cluster).map(async ({ role, secretPath }) => {
      const secret = await readSecret(client, secretPath);
      return [`INIT_TOKEN_${role.toUpperCase()}`, String(secret?.init_token)] as const;
    }),
  );
  const variables = [["VAULT_ADDR", address], ["VAULT_TOKEN", rootToken], ...ids] as const;
  // A chosen id may hold characters that a shell would interpret. systemd understands the same quoting.
  return variables.map(([name, value]) => `${name}=${shellQuoted(value)}\n`).join("");
}

function writeTokens(path: string, variables: string): void {
  try {
    createFile(path, variables, { mode: 0o600 });
  } catch (error) {
    throw fileError("file", "write", path, error);
  }
}

/** The result of the work, unless the signal comes first. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = () => reject(signal.reason);
  signal.addEventListener("abort", stop);
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
