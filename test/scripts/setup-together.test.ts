import { expect, test } from "bun:test";
import { defineCluster } from "../../lib/cluster/cluster.ts";
import type { Change } from "../../lib/cluster/plan.ts";
import { planMounts, planRoles } from "../../lib/cluster/setup-plan.ts";
import { listIssuers } from "../../lib/vault/issuers.ts";
import { readSecret } from "../../lib/vault/kv.ts";
import { api } from "../cluster/api.ts";
import { devServer } from "../support/dev-server.ts";
import { runScript, scriptPath } from "../support/script.ts";

const { server, client: admin } = await devServer();
const ignore = () => {};
const create = async (change: Change) =>
  change.action === "create" ? await change.resource.create(admin) : undefined;

test("a plan overtaken by another run makes no second CA, and changes no secret", async () => {
  const cluster = defineCluster("late");
  const late = await planMounts(admin, cluster);
  await (await planMounts(admin, cluster)).apply(ignore);
  // The mounts exist by now, and the late run stops at the first of them. Only the CAs matter here.
  await Promise.all(
    late.changes.map((change) => (change.resource.kind === "CA" ? create(change) : undefined)),
  );
  expect(await listIssuers(admin, "late/pki/k8s")).toHaveLength(1);

  const lateRoles = await planRoles(admin, cluster);
  await (await planRoles(admin, cluster)).apply(ignore);
  const paths = ["service-accounts", "encryption-config", "init_token_worker"].map(
    (it) => `late/secrets/${it}`,
  );
  const before = await Promise.all(paths.map((path) => readSecret(admin, path)));
  for (const change of lateRoles.changes) {
    if (/^secret|id$/.test(change.resource.kind)) await create(change);
  }
  expect(await Promise.all(paths.map((path) => readSecret(admin, path)))).toEqual(before);
});

test.each([
  ["a mount above", "above/pki", "above"],
  ["a mount below", "below/pki/k8s/sub", "below"],
])(
  "setup-mounts with %s in the way changes nothing, and its dry run says so as well",
  async (_, path, id) => {
    await api(server.address, server.rootToken).write(`sys/mounts/${path}`, { type: "transit" });
    const env = { VAULT_ADDR: server.address, VAULT_TOKEN: server.rootToken };
    for (const flags of [["--dry-run"], []]) {
      const { code, stdout, stderr } = await runScript("setup-mounts", [...flags, id], { env });
      expect({ code, stdout }).toEqual({ code: 78, stdout: "" });
      expect(stderr).toStartWith(`setup-mounts: mount ${path} is in the way of ${id}/pki/`);
    }
  },
);

test.each(["sys", "auth", "identity"])(
  "setup-mounts refuses cluster %s, whose mounts would be the server's own",
  async (id) => {
    const env = { VAULT_ADDR: server.address, VAULT_TOKEN: server.rootToken };
    const { code, stderr } = await runScript("setup-mounts", ["--dry-run", id], { env });
    expect(code).toBe(78);
    expect(stderr).toContain("is in the way of");
  },
);

test("a run whose JSON output can't be written is no success", async () => {
  const env = { VAULT_ADDR: server.address, VAULT_TOKEN: server.rootToken };
  const command = `exec "${await scriptPath("setup-mounts")}" --json --dry-run full > /dev/full`;
  const child = Bun.spawn(["sh", "-c", command], { env, stdout: "ignore", stderr: "pipe" });
  expect(await child.stderr.text()).toBe(
    "setup-mounts: can't write to /dev/stdout: the disk is full (ENOSPC)\n",
  );
  expect(await child.exited).toBe(73);
});
