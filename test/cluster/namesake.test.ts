import { expect, test } from "bun:test";
import { defineCluster } from "../../lib/cluster/cluster.ts";
import { devServer } from "../support/dev-server.ts";
import { failureOf } from "../support/failure.ts";
import { api } from "./api.ts";
import { clientOf, type halves, makeMounts, prepareRoles, run } from "./run.ts";
import { readWholeServer } from "./whole-server.ts";

const { server } = await devServer();
const admin = api(server.address, server.rootToken);
const client = clientOf(server.address, server.rootToken);
await admin.write("sys/auth/token/tune", { max_lease_ttl: "157680000s" });

test("a cluster whose id has a capital is set up once, too", async () => {
  const cluster = defineCluster("Demo");
  // Somebody's, and no cluster's.
  await admin.write("sys/mounts/demo", { type: "kv" });
  await admin.write("sys/mounts/DEMO/secrets-2", { type: "kv" });
  await prepareRoles(admin, cluster);
  await run("write-roles", client, cluster);
  expect(await run("write-roles", client, cluster)).toEqual([]);
  await admin.remove("sys/mounts/demo");
});

test("one whose id differs in the capital alone is refused, since the server would give both the same policies", async () => {
  const before = await readWholeServer(admin);
  const refused = async (half: keyof typeof halves) => {
    const { kind, message, hint } = await failureOf(() => run(half, client, defineCluster("demo")));
    expect({ kind, message, hint }).toEqual({
      kind: "config",
      message: "clusters demo and Demo would share their policies, since policy names have no capitals",
      hint: "nothing was changed; choose another cluster id",
    });
  };
  await refused("setup-mounts");
  expect(await readWholeServer(admin)).toEqual(before);
  // As others may have made them.
  await makeMounts(admin, defineCluster("demo"));
  await refused("write-roles");
  expect((await readWholeServer(admin)).policies).toEqual(before.policies);
});
