import { afterAll, expect, test } from "bun:test";
import { defineCluster } from "../../lib/cluster/cluster.ts";
import { planTeardown } from "../../lib/cluster/teardown.ts";
import { startServer } from "../../lib/server/start-server.ts";
import { each } from "../../lib/vault/each.ts";
import { api } from "./api.ts";
import { leavesCutOffs } from "./cut-off.ts";
import { clientOf, makeMounts } from "./run.ts";

const server = await startServer({ mode: "raft" });
afterAll(() => server[Symbol.asyncDispose]());
const admin = api(server.address, server.rootToken);
const isPossible = await leavesCutOffs(admin);

test.skipIf(!isPossible)(
  "a teardown finishes an interrupted removal of a mount, and the server goes on",
  async () => {
    const client = clientOf(server.address, server.rootToken);
    const cluster = defineCluster("demo");
    await makeMounts(admin, cluster);
    const mount = "demo/pki/k8s";
    await admin.write(`${mount}/root/generate/internal`, { common_name: "CA", key_type: "ec", ttl: "72h" });
    await admin.write(`${mount}/roles/hand`, { allow_any_name: true, key_type: "ec", ttl: "1h" });
    await each(Array.from({ length: 600 }), () =>
      admin.write(`${mount}/issue/hand`, { common_name: "x.example" }),
    );

    // Twice, each time with a part of it left.
    for (const _ of [1, 2]) {
      const request = { method: "DELETE", headers: { "X-Vault-Token": server.rootToken } };
      const signal = AbortSignal.timeout(100);
      await fetch(`${server.address}/v1/sys/mounts/${mount}`, { ...request, signal }).catch(() => {});
      expect(Object.keys(await admin.find("sys/mounts"))).toContain(`${mount}/`);
      // The server finishes the current removal.
      await Bun.sleep(300);
      if (_ === 1) await admin.write("sys/plugins/reload/backend", { mounts: [`${mount}/`] });
    }

    const { removals, apply } = await planTeardown(client, cluster, () => {});
    expect(removals.find(({ resource }) => resource.path === mount)?.contents).toBeUndefined();
    await apply({ revokeHosts: false, onRemoved() {}, onProgress() {} });
    const mounts = Object.keys(await admin.find("sys/mounts"));
    expect(mounts.filter((path) => path.startsWith("demo/"))).toEqual([]);
    expect(await admin.find("auth/token/lookup-self")).toBeDefined();
  },
  60_000,
);
