import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../failure.ts";
import { resolveServerBinary } from "./binary.ts";
import { health, untilReady } from "./health.ts";
import { demand, type Endpoint } from "./http.ts";
import { ServerProcess } from "./process.ts";
import type { RaftOptions, RaftServer } from "./server.ts";

const STATE_FILE = "state.json";
const VOTER_SECONDS = 30;

interface Keys {
  unsealKey: string;
  rootToken: string;
}

/** Kept for a later start in the same folder. The ports are needed since a node's address is part of its data. */
interface State extends Keys {
  ports: number[];
}

/** Starts a server with its data on disk, alone or in a cluster. It can be sealed, stopped and started again. */
export async function startRaftServer(options: RaftOptions): Promise<RaftServer> {
  const binary = options.binary ?? (await resolveServerBinary());
  const process = new ServerProcess(binary, options.dataDir);
  const configFile = join(process.dataDir, "server.json");
  const configure = (ports: number[]) => {
    writeConfig(configFile, process.dataDir, ports, options);
    return [`-config=${configFile}`];
  };
  try {
    const kept = readState(process.dataDir);
    if (kept) await process.run(configure(kept.ports));
    const ports = kept?.ports ?? (await process.runOnFreePorts(2, configure));
    const endpoint = endpointOf(ports, options);
    const keys = kept ?? (await (options.join ? joinCluster(endpoint, options.join) : initialise(endpoint)));
    writeState(process.dataDir, { ...keys, ports });
    const unseal = async () => {
      await demand(endpoint, "POST", "sys/unseal", { body: { key: keys.unsealKey } });
      await untilReady(process, endpoint);
    };
    await unseal();
    if (options.join) await untilVoter(nodeId(ports), options.join);
    return {
      ...endpoint,
      unsealKey: keys.unsealKey,
      rootToken: keys.rootToken,
      binary,
      dataDir: process.dataDir,
      get pid() {
        return process.pid;
      },
      log: (lines) => process.log(lines).join("\n"),
      unseal,
      seal: async () => {
        await demand(endpoint, "POST", "sys/seal", { token: keys.rootToken });
      },
      isActive: async () => {
        const { sealed, standby } = await health(endpoint);
        return !sealed && !standby;
      },
      start: async () => {
        await process.run([`-config=${configFile}`]);
        await unseal();
      },
      stop: () => process.end("SIGTERM"),
      kill: () => process.end("SIGKILL"),
      [Symbol.asyncDispose]: () => process.close(),
    };
  } catch (error) {
    await process.close();
    throw error;
  }
}

function endpointOf([port]: number[], { tls }: RaftOptions): Endpoint {
  return {
    address: `${tls ? "https" : "http"}://127.0.0.1:${port}`,
    caFile: tls?.caFile,
    client: tls?.client,
  };
}

/** @see https://developer.hashicorp.com/vault/docs/configuration */
function writeConfig(file: string, dataDir: string, [port, clusterPort]: number[], options: RaftOptions) {
  const { tls } = options;
  const storage = join(dataDir, "raft");
  mkdirSync(storage, { recursive: true });
  const config = {
    // Memory can't be locked everywhere without privileges.
    disable_mlock: true,
    api_addr: endpointOf([port ?? 0], options).address,
    cluster_addr: `https://127.0.0.1:${clusterPort}`,
    storage: {
      raft: {
        path: storage,
        node_id: nodeId([port ?? 0]),
        // All nodes are on this machine, so elections can be fast, and a new node can vote at once.
        performance_multiplier: 1,
        autopilot_reconcile_interval: "250ms",
        autopilot_update_interval: "250ms",
      },
    },
    listener: {
      tcp: {
        address: `127.0.0.1:${port}`,
        cluster_address: `127.0.0.1:${clusterPort}`,
        ...(tls ? { tls_cert_file: tls.certFile, tls_key_file: tls.keyFile } : { tls_disable: true }),
        ...(tls?.client && { tls_require_and_verify_client_cert: true, tls_client_ca_file: tls.caFile }),
      },
    },
  };
  writeFileSync(file, JSON.stringify(config, null, 2), { mode: 0o600 });
}

/** @see https://developer.hashicorp.com/vault/api-docs/system/init */
async function initialise(endpoint: Endpoint): Promise<Keys> {
  const answer = await demand(endpoint, "POST", "sys/init", {
    body: { secret_shares: 1, secret_threshold: 1 },
  });
  const [unsealKey] = Array.isArray(answer.keys_base64) ? answer.keys_base64 : [];
  const rootToken = answer.root_token;
  if (typeof unsealKey !== "string" || typeof rootToken !== "string") {
    throw new Failure("unavailable", `${endpoint.address} returned no keys when it was initialized`);
  }
  return { unsealKey, rootToken };
}

function readState(dataDir: string): State | undefined {
  const file = join(dataDir, STATE_FILE);
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
}

function writeState(dataDir: string, state: State) {
  writeFileSync(join(dataDir, STATE_FILE), JSON.stringify(state), { mode: 0o600 });
}

/** @see https://developer.hashicorp.com/vault/api-docs/system/storage/raft#join-a-raft-cluster */
async function joinCluster(endpoint: Endpoint, leader: RaftServer): Promise<Keys> {
  const { caFile, client, rootToken: token } = leader;
  await demand(leader, "POST", "sys/storage/raft/autopilot/configuration", {
    token,
    body: { server_stabilization_time: "0s" },
  });
  await demand(endpoint, "POST", "sys/storage/raft/join", {
    body: {
      leader_api_addr: leader.address,
      ...(caFile && { leader_ca_cert: readFileSync(caFile, "utf8") }),
      ...(client && {
        leader_client_cert: readFileSync(client.certFile, "utf8"),
        leader_client_key: readFileSync(client.keyFile, "utf8"),
      }),
    },
  });
  return { unsealKey: leader.unsealKey, rootToken: leader.rootToken };
}

/** Waits until the leader has given a new node its vote. Until then the node can't take over. */
async function untilVoter(id: string, leader: RaftServer): Promise<void> {
  for (const deadline = Date.now() + VOTER_SECONDS * 1000; Date.now() < deadline; await Bun.sleep(50)) {
    const answer = await demand(leader, "GET", "sys/storage/raft/configuration", { token: leader.rootToken });
    const { config } = answer.data as { config: { servers: { node_id: string; voter: boolean }[] } };
    if (config.servers.some((server) => server.node_id === id && server.voter)) return;
  }
  throw new Failure("unavailable", `${id} got no vote in its cluster in ${VOTER_SECONDS} s`);
}

function nodeId([port]: number[]): string {
  return `node-${port}`;
}
