import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { defineCluster } from "../../lib/cluster/cluster.ts";
import { tokenRoles } from "../../lib/cluster/token-roles.ts";
import type { RaftServer } from "../../lib/server/server.ts";
import { startServer } from "../../lib/server/start-server.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import { tuneAuthMaxLeaseTtl, writePolicy } from "../../lib/vault/sys.ts";
import { createFromRole, lookupSelf, writeTokenRole } from "../../lib/vault/token.ts";
import { temporaryFolder } from "../support/folder.ts";
import { runScript } from "../support/script.ts";
import { until } from "../support/wait.ts";

/** A host with its own token, and the node that it asks. */
interface RenewingHost {
  readonly config: string;
  readonly token: string;
  readonly node: RaftServer;
}

/** Three nodes, and hosts of cluster `demo` spread over them. */
export interface Cluster extends AsyncDisposable {
  readonly nodes: readonly RaftServer[];
  readonly hosts: readonly RenewingHost[];
  leader(): Promise<RaftServer | undefined>;
}

export async function startCluster(hostCount: number): Promise<Cluster> {
  await using stack = new AsyncDisposableStack();
  const first = stack.use(await startServer({ mode: "raft" }));
  const nodes = [first];
  while (nodes.length < 3) nodes.push(stack.use(await startServer({ mode: "raft", join: first })));
  const folder = stack.use(temporaryFolder());
  const tokens = await makeTokens(first, hostCount);
  const hosts = tokens.map((token, i): RenewingHost => {
    const config = join(folder.path, `host-${i}`);
    mkdirSync(config, { mode: 0o700 });
    writeFileSync(join(config, "token"), `${token}\n`, { mode: 0o600 });
    return { config, token, node: nodes[i % nodes.length] ?? first };
  });
  const owned = stack.move();
  return {
    nodes,
    hosts,
    async leader() {
      for (const node of nodes) {
        if (node.pid !== undefined && (await node.isActive().catch(() => false))) return node;
      }
      return undefined;
    },
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  };
}

/** The token role as set-up makes it. Its policy grants nothing here. */
async function makeTokens({ address, rootToken }: RaftServer, count: number): Promise<string[]> {
  const admin = createVaultClient({ address, token: rootToken });
  const role = tokenRoles(defineCluster("demo")).find(({ name }) => name === "demo-worker");
  if (role === undefined) throw new Error("the cluster has no token role demo-worker");
  await tuneAuthMaxLeaseTtl(admin, "token", Number(role.fields.period));
  await writePolicy(admin, "demo/worker", 'path "demo/none" { capabilities = ["read"] }');
  await writeTokenRole(admin, role.name, role.fields);
  const made = Array.from({ length: count }, () => createFromRole(admin, role.name, rootToken));
  return (await Promise.all(made)).map(({ token }) => token);
}

export interface Numbers {
  runs: number;
  firstTime: number;
  /** Hosts that had to try again later, and succeeded in the next run. */
  secondTime: number;
  /** Hosts that failed for good, and why. */
  readonly broken: string[];
  requests: number;
  kills: number;
}

interface Options {
  /** The leader is killed after this many hosts have begun. It is started again before the next kill. */
  readonly killAt: readonly number[];
  /** Runs at the same time. */
  readonly lanes: number;
  /** The longest pause between two runs of a lane, in milliseconds. */
  readonly pauseMs: number;
}

/** Has every host renew its token while leaders are killed. Hosts that have to try again later run once more. */
export async function renewAll(cluster: Cluster, options: Options): Promise<Numbers> {
  const numbers: Numbers = { runs: 0, firstTime: 0, secondTime: 0, broken: [], requests: 0, kills: 0 };
  let begun = 0;
  const again: RenewingHost[] = [];
  const killing = killLeaders(cluster, options.killAt, () => begun, numbers);
  await inLanes(cluster.hosts, options.lanes, async (host) => {
    begun++;
    const { code, words } = await renew(host, numbers);
    if (code === 0) numbers.firstTime++;
    else if (code === 75) again.push(host);
    else numbers.broken.push(words);
    await Bun.sleep(Math.random() * options.pauseMs);
  });
  await killing;
  await inLanes(again, options.lanes, async (host) => {
    const { code, words } = await renew(host, numbers);
    if (code === 0) numbers.secondTime++;
    else numbers.broken.push(`on its next run, ${words}`);
  });
  await findLost(cluster, numbers);
  return numbers;
}

async function renew({ config, node }: RenewingHost, numbers: Numbers) {
  const args = ["--config-path", config, "--log-level", "debug", "--timeout", "20s"];
  const { code, stderr } = await runScript("renew-token", args, { env: { VAULT_ADDR: node.address } });
  numbers.runs++;
  numbers.requests += stderr.match(/^renew-token: POST auth\/token\/renew-self$/gm)?.length ?? 0;
  return { code, words: `${config} ended with ${code}: ${stderr}` };
}

async function killLeaders(
  cluster: Cluster,
  killAt: readonly number[],
  begun: () => number,
  numbers: Numbers,
): Promise<void> {
  for (const count of killAt) {
    await until(() => begun() >= count);
    const leader = await cluster.leader();
    if (leader === undefined) throw new Error("no node is the leader");
    await leader.kill();
    if (begun() < cluster.hosts.length) numbers.kills++;
    await until(async () => (await cluster.leader()) !== undefined);
    await leader.start();
  }
}

/** Checks that each token is still valid and in its file. */
async function findLost(cluster: Cluster, numbers: Numbers): Promise<void> {
  const leader = await cluster.leader();
  if (leader === undefined) throw new Error("no node is the leader");
  const client = createVaultClient({ address: leader.address });
  await inLanes(cluster.hosts, 8, async ({ config, token }) => {
    if (readFileSync(join(config, "token"), "utf8") !== `${token}\n`)
      numbers.broken.push(`${config}: token changed`);
    await lookupSelf(client, token).catch((error) => numbers.broken.push(`${config}: token lost, ${error}`));
  });
}

async function inLanes<T>(all: readonly T[], lanes: number, act: (one: T) => Promise<void>): Promise<void> {
  const queue = all.values();
  const lane = async () => {
    for (const one of queue) await act(one);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}
