import { describe, expect, test } from "bun:test";
import { defineCluster } from "../../lib/cluster/cluster.ts";
import { setupPolicy, teardownPolicy } from "../../lib/cluster/needed-policy.ts";
import { runScript } from "../support/script.ts";

const cluster = defineCluster("demo");

describe("--print-policy", () => {
  test.each([
    ["setup", setupPolicy(cluster, ["mounts", "roles"])],
    ["setup-mounts", setupPolicy(cluster, ["mounts"])],
    ["write-roles", setupPolicy(cluster, ["roles"])],
    ["teardown", teardownPolicy(cluster)],
  ])("of %s prints the needed policy, without a token and without a server", async (name, policy) => {
    const printed = await runScript("vault-helper", [name, "--print-policy", "demo"]);
    expect(printed).toEqual({ code: 0, stdout: policy, stderr: "" });
    const quiet = await runScript("vault-helper", [name, "--print-policy", "-l0", "demo"]);
    expect(quiet.stdout).toBe(policy);
    const json = await runScript("vault-helper", [name, "--print-policy", "--json", "demo"]);
    expect(JSON.parse(json.stdout)).toEqual({ cluster: "demo", policy });
  });

  test("may come before the command, and is not read as a flag's value", async () => {
    const { code, stdout } = await runScript("vault-helper", ["--print-policy", "setup", "demo"]);
    expect([code, stdout]).toEqual([0, setupPolicy(cluster, ["mounts", "roles"])]);
  });

  test("names the cluster's id, and an invalid id is refused", async () => {
    const { stdout } = await runScript("setup-mounts", ["--print-policy", "other"]);
    expect(stdout).toContain('path "sys/mounts/other/pki/k8s" {');
    expect(stdout).not.toContain("demo");
    expect((await runScript("setup-mounts", ["--print-policy", 'a" {'])).code).toBe(64);
  });

  test.each([
    ["setup", ["--dry-run"]],
    ["write-roles", ["--check"]],
    ["teardown", ["--yes", "demo"]],
    ["teardown", ["--dry-run"]],
  ])("can't be used with %s %j", async (name, flags) => {
    const { code, stdout, stderr } = await runScript("vault-helper", [
      name,
      "--print-policy",
      ...flags,
      "demo",
    ]);
    expect([code, stdout]).toEqual([64, ""]);
    expect(stderr).toContain(`--print-policy and ${flags[0]} can't be used together\n`);
  });
});
