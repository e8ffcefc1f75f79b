import { describe, expect, test } from "bun:test";
import { type Cluster, defineCluster } from "../../lib/cluster/cluster.ts";
import { pkiMounts } from "../../lib/cluster/mounts.ts";
import type { FileChoice } from "../../lib/cluster/setup-plan.ts";
import { devServer } from "../support/dev-server.ts";
import { isWrite, startRelay } from "../support/relay.ts";
import { api } from "./api.ts";
import { clusterFile } from "./file.ts";
import { goldenTokens, readObjects, wantedObjects } from "./objects.ts";
import { clientOf, type Half, makeMounts, run, storeServiceAccountKey } from "./run.ts";

const { server } = await devServer();
const admin = api(server.address, server.rootToken);
const client = clientOf(server.address, server.rootToken);

const role = (name: string) =>
  `[[pki_roles]]\nmount = "k8s"\nname = "${name}"\nhosts = ["worker"]\nallow_any_name = true\n`;
/** Two files. Each has something that the other lacks. */
const one = clusterFile(`max_validity_ca = "30y"\nkubelet_domains = ["*.one"]\n${role("one")}`);
const other = clusterFile(`max_validity_ca = "10y"\nkubelet_domains = ["*.other"]\n${role("other")}`);

/** Runs one half against a server that fails after this many writes. Returns whether it failed. */
async function interrupt(half: Half, cluster: Cluster, choice: FileChoice, count: number): Promise<boolean> {
  let writes = 0;
  const relay = startRelay(server.address, (request) =>
    isWrite(request) && ++writes > count
      ? Response.json({ errors: ["Vault is sealed"] }, { status: 503 })
      : undefined,
  );
  try {
    await run(half, clientOf(relay.address, server.rootToken), cluster, choice);
    return false;
  } catch (error) {
    expect(String(error)).toContain("HTTP 503, Vault is sealed");
    return true;
  } finally {
    await relay[Symbol.asyncDispose]();
  }
}

/** Mounts, roles, policies and stored files, as text without the cluster's name. */
async function stateOf({ id }: Cluster): Promise<string> {
  const { mounts, pki_roles, policies, kv } = await readObjects(admin, id, wantedObjects(id, goldenTokens));
  const kept = Object.entries(kv).filter(([name]) => name.startsWith("cluster-file"));
  return JSON.stringify([mounts, pki_roles, policies, kept]).replaceAll(id, "ID");
}

/** A cluster with one half that was set up with a file. */
async function setUpHalf(half: Half, id: string, choice: FileChoice): Promise<Cluster> {
  const cluster = defineCluster(id);
  await makeMounts(admin, cluster);
  // These are quicker to make than set-up's own. Set-up keeps them.
  for (const { path, description } of half === "setup-mounts" ? pkiMounts(cluster) : []) {
    await admin.write(`${path}/root/generate/internal`, { common_name: description, key_type: "ec" });
  }
  await storeServiceAccountKey(admin, cluster);
  await run(half, client, cluster, choice);
  return cluster;
}

const choices = { one: { file: one }, other: { file: other }, none: { narrow: true } } as const;
type Choice = keyof typeof choices;

describe.each<readonly [Half, Choice, Choice]>([
  ["write-roles", "none", "one"],
  ["write-roles", "one", "other"],
  ["write-roles", "one", "none"],
  ["setup-mounts", "none", "one"],
  ["setup-mounts", "one", "other"],
  ["setup-mounts", "one", "none"],
])("%s that changes from %s to %s and is stopped at any write", (half, from, to) => {
  test("matches the old or the new file after a run without one, and the new one after a run with it", async () => {
    const wanted = await stateOf(await setUpHalf(half, `${half}-${from}-${to}`, choices[to]));
    const ends: string[] = [];
    for (let count = 0; ; count++) {
      const cluster = await setUpHalf(half, `${half}-${from}-${to}-${count}`, choices[from]);
      const old = await stateOf(cluster);
      if (!(await interrupt(half, cluster, choices[to], count))) break;

      await run(half, client, cluster);
      const state = await stateOf(cluster);
      ends.push(state === wanted ? "new" : state === old ? "old" : state);
      expect(await run(half, client, cluster)).toEqual([]);

      await run(half, client, cluster, choices[to]);
      expect(await stateOf(cluster)).toBe(wanted);
    }
    expect(ends.length).toBeGreaterThan(3);
    // From an early write on, it always ends with the new file.
    expect(ends).toEqual([...ends.filter((it) => it === "old"), ...ends.filter((it) => it === "new")]);
    expect(ends.filter((it) => it === "old").length).toBeLessThanOrEqual(2);
  }, 60_000);
});
