import { afterEach } from "bun:test";
import { type Cluster, defineCluster } from "../../lib/cluster/cluster.ts";
import type { VaultClient } from "../../lib/vault/client.ts";
import { relayedServer } from "../support/dev-server.ts";
import { type Api, api } from "./api.ts";
import { readObjects, storedTokens, wantedObjects } from "./objects.ts";
import { clientOf, type Half, renewals, run } from "./run.ts";

export interface Drifting {
  readonly id: string;
  readonly cluster: Cluster;
  /** For changes by hand. */
  readonly admin: Api;
  readonly client: VaultClient;
  /** Runs one half. Returns the paths that it wrote to, in order, without the renewals of init tokens. */
  repair(half: Half): Promise<readonly string[]>;
  /** The objects that differ from the plan, and how. */
  faults(): Promise<readonly unknown[]>;
}

/** A complete cluster on its own server, for the tests of one file to damage. */
export async function driftingCluster(): Promise<Drifting> {
  const { server, relay } = await relayedServer();
  const cluster = defineCluster("drift");
  const admin = api(server.address, server.rootToken);
  const client = clientOf(relay.address, server.rootToken);
  await run("setup-mounts", client, cluster);
  await run("write-roles", client, cluster);
  const faults = async () => {
    const wanted = wantedObjects(cluster.id, await storedTokens(admin, cluster.id));
    return unequal("", wanted, await readObjects(admin, cluster.id, wanted));
  };
  // A test that failed half-way leaves what it spoiled to nobody.
  afterEach(async () => {
    if ((await faults()).length === 0) return;
    await run("setup-mounts", client, cluster);
    await run("write-roles", client, cluster);
  });
  return {
    id: cluster.id,
    cluster,
    admin,
    client,
    async repair(half) {
      relay.reset();
      await run(half, client, cluster);
      const writes = relay.writes().map(({ path }) => path);
      if (half === "setup-mounts") return writes;
      // These are the last ones: one for each init token that existed before.
      return writes.filter((path) => path !== renewals[0]);
    },
    faults,
  };
}

/** Puts back at a test's end what no set-up would, however the test ends. */
export function undo(act: () => Promise<unknown>): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      await act();
    },
  };
}

function unequal(path: string, wanted: unknown, found: unknown): readonly unknown[] {
  if (Bun.deepEquals(wanted, found)) return [];
  const both = [wanted, found].map((it) => (typeof it === "object" && it !== null ? Object.entries(it) : []));
  const names = new Set(both.flatMap((entries) => entries.map(([name]) => name)));
  if (names.size === 0 || Array.isArray(wanted)) return [{ path, wanted, found }];
  return [...names].flatMap((name) => {
    const [left, right] = both.map((entries) => entries.find(([key]) => key === name)?.[1]);
    return unequal(`${path}/${name}`, left, right);
  });
}
