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

test("a cluster whose id has a capital letter is not changed by a second run", async () => {
  const cluster = defineCluster("Demo");
  // A mount that belongs to no cluster.
  await admin.write("sys/mounts/demo", { type: "kv" });
  await admin.write("sys/mounts/DEMO/secrets-2", { type: "kv" });
  await prepareRoles(admin, cluster);
  await run("write-roles", client, cluster);
  expect(await run("write-roles", client, cluster)).toEqual([]);
  await admin.remove("sys/mounts/demo");
});

test("a cluster whose id differs only in a capital is refused, since both would have the same policies", async () => {
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
  // Somebody else may have made them.
  await makeMounts(admin, defineCluster("demo"));
  await refused("write-roles");
  expect((await readWholeServer(admin)).policies).toEqual(before.policies);
});
