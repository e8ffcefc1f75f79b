import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { resolveServerBinary } from "../../lib/server/binary.ts";
import { ask } from "../../lib/server/http.ts";
import { ServerProcess } from "../../lib/server/process.ts";
import { startServer } from "../../lib/server/start-server.ts";
import { type ClusterServer, startCluster } from "../support/cluster-server.ts";
import { startHost } from "../support/host.ts";
import { startRelay } from "../support/relay.ts";
import { tellsUnknownTokens } from "../support/vault.ts";
import { until } from "../support/wait.ts";
import { createHost, exchange, expectRefusal, forEachJob, type Refusal, renewal } from "./host.ts";
import { createScriptedVault } from "./scripted-vault.ts";

// Failures that a real server can be made to show.

const vault = await createScriptedVault();
const { issuedHost } = vault;
afterAll(() => vault[Symbol.dispose]());

/** Runs each job against the server. Returns how many requests each sent. */
async function meet(address: string, refusal: Refusal): Promise<number[]> {
  return await forEachJob(async (job) => {
    await using relay = startRelay(address);
    using host = createHost(job, issuedHost);
    expectRefusal(await host.run(relay.address), refusal);
    return relay.passed.length;
  });
}

/** A server that is not initialized. */
async function startUninitialised(): Promise<{ readonly address: string } & AsyncDisposable> {
  const process = new ServerProcess(await resolveServerBinary());
  const file = join(process.dataDir, "server.json");
  const [port] = await process.runOnFreePorts(1, ([port]) => {
    const listener = { tcp: { address: `127.0.0.1:${port}`, tls_disable: true } };
    writeFileSync(file, JSON.stringify({ disable_mlock: true, storage: { inmem: {} }, listener }));
    return [`-config=${file}`];
  });
  return { address: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: () => process.close() };
}

/** The status of a lookup of a wrapping token that does not exist: 400 if the server can look it up. */
async function lookUpWrapping(address: string): Promise<number> {
  const { status } = await ask({ address }, "POST", "sys/wrapping/lookup", { body: { token: "never-made" } });
  return status;
}

describe("a real server that", () => {
  test("is sealed", async () => {
    await using server = await startServer({ mode: "raft" });
    await server.seal();
    const refusal = { code: 75, sentence: /HTTP 503, Vault is sealed$/, hint: /has to unseal/ } as const;
    expect(await meet(server.address, refusal)).toEqual([3, 3, 3]);
  });

  test("is not initialized", async () => {
    await using server = await startUninitialised();
    const refusal = { code: 75, sentence: /HTTP \d+, /, hint: /has to (open|unseal)/ } as const;
    expect(await meet(server.address, refusal)).toEqual([3, 3, 3]);
  });

  test("is a standby and redirects to a leader that is gone", async () => {
    await using leader = await startServer({ mode: "raft" });
    await using standby = await startServer({ mode: "raft", join: leader });
    await leader.kill();
    const sentence = new RegExp(`${leader.address.replace("http://", "")} refuses the connection`);
    const refusal = { code: 75, sentence, hint: /that the server is running/ } as const;
    // OpenBao's standby looks up a wrapping token itself, so an exchange sends one request more.
    const looksItself = (await lookUpWrapping(standby.address)) === 400;
    expect(await meet(standby.address, refusal)).toEqual([3, looksItself ? 4 : 3, 3]);
  });

  test("was the leader, and has lost the others", async () => {
    await using leader = await startServer({ mode: "raft" });
    await using standby = await startServer({ mode: "raft", join: leader });
    await standby.kill();
    await until(async () => !(await leader.isActive()));
    const refusal = { code: 75, sentence: /HTTP 500, local node not active/, hint: /no leader/ } as const;
    expect(await meet(leader.address, refusal)).toEqual([3, 3, 3]);
  });
});

describe("a real server with a cluster", () => {
  let cluster: ClusterServer;
  beforeAll(async () => {
    cluster = await startCluster();
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  /** A host with this token that asks for a certificate. */
  async function issueWith(token: string, signPath: string) {
    await using host = startHost(cluster.address);
    host.put("token", token);
    const result = await host.run("issue-cert", [signPath, "kubelet", host.destination, "--timeout", "3s"]);
    return { ...result, sent: host.relay.passed.length, isEmpty: !existsSync(`${host.destination}-key.pem`) };
  }

  test("knows neither token: the message says who makes another, after one request for each if that is enough", async () => {
    const noToken = { code: 77, sentence: /there is no init token at/, hint: /init_token_ROLE/ } as const;
    const noInitToken = { code: 77, sentence: /does not know the init token/, hint: /write-roles/ } as const;
    const looks = (await tellsUnknownTokens(cluster.admin)) ? [] : Array(2).fill("sys/internal/ui/mounts");
    for (const [job, refusal] of [
      [renewal, noToken],
      [exchange, noInitToken],
    ] as const) {
      await using relay = startRelay(cluster.address);
      using host = createHost(job, issuedHost);
      const first = job === exchange ? ["sys/wrapping/lookup"] : [];
      expectRefusal(await host.run(relay.address), refusal);
      expect(relay.passed.map(({ path }) => path)).toEqual([...first, job.about, ...looks]);
    }
  });

  test("denies a sign path that the host's policy lacks, and is asked once for those that it has", async () => {
    const token = await cluster.hostToken("worker");
    const { code, stderr, sent, isEmpty } = await issueWith(token, "demo/pki/k8s/sign/admin");
    expect(stderr).toContain('capabilities "create" and "update" on demo/pki/k8s/sign/admin\n');
    expect({ code, sent, isEmpty }).toEqual({ code: 77, sent: 3, isEmpty: true });
    expect(stderr).not.toContain(token);
  });

  test.each([
    ["has no such role", "demo/pki/k8s/sign/nobody", 78, /unknown role.*\n {2}.*run write-roles/],
    [
      "has nothing mounted there",
      "demo/pki/none/sign/kubelet",
      78,
      /no handler for route.*\n {2}nothing is mounted/,
    ],
  ])("%s, and says so once", async (_, signPath, exitCode, words) => {
    const { code, stderr, sent, isEmpty } = await issueWith(cluster.rootToken, signPath);
    expect(stderr).toMatch(words);
    expect({ code, isEmpty }).toEqual({ code: exitCode, isEmpty: true });
    // A root token can't be renewed, so it is looked up. The last request asks for its sign paths.
    expect(sent).toBe(signPath.includes("none") ? 3 : 4);
  });

  test("limits the rate of requests", async () => {
    await cluster.write("sys/quotas/rate-limit/all", { rate: 1, interval: "1h" });
    const refusal = { code: 75, sentence: /HTTP 429, /, hint: /limits the rate/ } as const;
    // The one request that the quota allows.
    await ask(cluster, "GET", "auth/token/lookup-self");
    expect(await meet(cluster.address, refusal)).toEqual([3, 3, 3]);
  });
});
