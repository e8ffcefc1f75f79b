import { describe, expect, test } from "bun:test";
import { hostRoles } from "../../lib/cluster/cluster.ts";
import { policies } from "../../lib/cluster/policies.ts";
import { driftingCluster, undo } from "./drifting.ts";

const { admin, cluster, id, repair, faults } = await driftingCluster();

describe("a policy", () => {
  test.each(policies(cluster))(
    "$name is restored after a change and after its removal",
    async ({ name, text }) => {
      const path = `sys/policies/acl/${name}`;
      await admin.write(path, { policy: `${text}\npath "secret/*" { capabilities = ["read"] }\n` });
      expect(await repair("write-roles")).toEqual([path]);
      expect(await faults()).toEqual([]);

      await admin.remove(path);
      expect(await repair("write-roles")).toEqual([path]);
      expect(await faults()).toEqual([]);
    },
  );

  test("that differs only in surrounding white space is kept", async () => {
    const path = `sys/policies/acl/${id}/etcd`;
    const { policy } = await admin.find(path);
    await using _ = undo(() => admin.write(path, { policy }));
    await admin.write(path, { policy: `\n${policy}\n\n` });
    expect(await repair("write-roles")).toEqual([]);
  });
});

describe("a token role", () => {
  const worker = `auth/token/roles/${id}-worker`;
  test.each([
    ["allowed_policies", ["root-like"]],
    ["allowed_policies", []],
    ["allowed_policies_glob", ["*"]],
    ["disallowed_policies", [`${id}/worker`]],
    ["disallowed_policies_glob", ["*"]],
    ["orphan", false],
    ["path_suffix", "elsewhere"],
    ["period", 3600],
    ["token_period", 7200],
    ["period", 0],
    ["renewable", false],
    ["explicit_max_ttl", 3600],
    ["token_explicit_max_ttl", 7200],
    ["token_no_default_policy", true],
    ["token_num_uses", 3],
    ["token_bound_cidrs", ["10.0.0.0/8"]],
    ["bound_cidrs", ["10.0.0.0/8"]],
    ["token_type", "default-service"],
    ["token_type", "default-batch"],
    ["token_type", "batch"],
  ])("whose %s is %p is corrected", async (field, value) => {
    const before = await admin.find(worker);
    await admin.write(worker, {
      ...(value === "batch" ? { orphan: true, renewable: false, period: 0 } : {}),
      [field]: value,
    });
    expect(await admin.find(worker)).not.toEqual(before);
    expect(await repair("write-roles")).toEqual([worker]);
    expect(await admin.find(worker)).toEqual(before);
    expect(await faults()).toEqual([]);
  });

  test("with allowed_entity_aliases is corrected, and only in that field", async () => {
    const before = await admin.find(worker);
    await admin.write(worker, { allowed_entity_aliases: ["somebody"] });
    expect(await repair("write-roles")).toEqual([worker]);
    // Once it is written, Go's empty list is not null any more.
    expect(await admin.find(worker)).toEqual({ ...before, allowed_entity_aliases: [] });
    await admin.remove(worker);
    expect(await repair("write-roles")).toEqual([worker]);
    expect(await admin.find(worker)).toEqual(before);
  });

  test.each(hostRoles)("of %s is restored after its removal and with other policies", async (role) => {
    const path = `auth/token/roles/${id}-${role}`;
    await admin.remove(path);
    expect(await repair("write-roles")).toEqual([path]);
    expect(await faults()).toEqual([]);

    await admin.write(path, { allowed_policies: [`${id}/master`, `${id}/all-creator`] });
    expect(await repair("write-roles")).toEqual([path]);
    expect(await faults()).toEqual([]);
  });
});
