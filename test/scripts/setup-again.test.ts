import { beforeAll, describe, expect, test } from "bun:test";
import { api } from "../cluster/api.ts";
import { renewals } from "../cluster/run.ts";
import { relayedServer } from "../support/dev-server.ts";
import { runScript, type ScriptResult } from "../support/script.ts";
import { until } from "../support/wait.ts";

const { server, relay } = await relayedServer();
const admin = api(server.address, server.rootToken);
const env = { VAULT_ADDR: relay.address, VAULT_TOKEN: server.rootToken };

/** Runs a script. @returns its output and the paths that it wrote to */
async function watch(script: string, ...args: string[]): Promise<ScriptResult & { writes: string[] }> {
  relay.reset();
  const result = await runScript(script, args, { env });
  return { ...result, writes: relay.writes().map(({ path }) => path) };
}

/** The changes of a plan in JSON, which has everything that people are shown and more. */
function changesOf({ stdout }: ScriptResult): ReadonlyArray<{ action: string; kind: string; path: string }> {
  return JSON.parse(stdout).changes;
}

describe("a second run", () => {
  beforeAll(async () => {
    await watch("setup-mounts", "again");
    await watch("write-roles", "again");
  }, 60_000);

  test("of setup-mounts writes nothing, and says so", async () => {
    expect(await watch("setup-mounts", "again")).toEqual({
      code: 0,
      stdout: "again: nothing to change, mounts and CAs are as they should be\n",
      stderr: "",
      writes: [],
    });
  });

  test("of write-roles only renews the init tokens, and says so", async () => {
    expect(await watch("write-roles", "again")).toEqual({
      code: 0,
      stdout: [
        ...["etcd", "master", "worker", "all"].map((role) => `renewed init token ${role}, 5y left\n`),
        "again: nothing to change, roles, secrets, policies and tokens are as they should be\n",
      ].join(""),
      stderr: "",
      writes: renewals,
    });
  });

  test("really renews an init token", async () => {
    const { init_token: token } = await admin.find("again/secrets/init_token_worker");
    const renewedAt = async () =>
      Number((await admin.as(String(token)).find("auth/token/lookup-self")).last_renewal_time);
    const before = await renewedAt();
    await until(() => Date.now() / 1000 > before + 1);
    await watch("write-roles", "again");
    expect(await renewedAt()).toBeGreaterThan(before);
  });

  test("with --json prints an empty plan with the renewals", async () => {
    const { stdout } = await watch("write-roles", "--json", "again");
    expect(JSON.parse(stdout)).toEqual({
      cluster: "again",
      dryRun: false,
      changes: [],
      applied: 0,
      renewed: ["etcd", "master", "worker", "all"].map((role) => ({ role, ttlSeconds: 157_680_000 })),
    });
  });

  test.each(["setup-mounts", "write-roles"])(
    "of %s with --check exits with 0 and writes nothing",
    async (script) => {
      const { code, stdout, writes } = await watch(script, "--check", "again");
      expect({ code, writes }).toEqual({ code: 0, writes: [] });
      expect(stdout).toContain("nothing to change");
    },
  );
});

describe("a dry run or a check of", () => {
  /** Expects that the dry run and the check write nothing and predict what the run does. @returns its changes' names */
  async function foretell(script: string, id: string): Promise<readonly string[]> {
    const dry = await watch(script, "--dry-run", id);
    expect({ code: dry.code, stderr: dry.stderr, writes: dry.writes }).toEqual({
      code: 0,
      stderr: "",
      writes: [],
    });
    const json = await watch(script, "--dry-run", "--json", id);
    expect({ code: json.code, writes: json.writes }).toEqual({ code: 0, writes: [] });
    const check = await watch(script, "--check", "--json", id);
    expect({ code: check.code, writes: check.writes }).toEqual({ code: 2, writes: [] });

    const done = await watch(script, "--json", id);
    expect(done.code).toBe(0);
    const changes = changesOf(done);
    expect(changesOf(json)).toEqual(changes);
    expect(changesOf(check)).toEqual(changes);
    expect(JSON.parse(json.stdout)).toMatchObject({ dryRun: true, applied: 0 });
    expect(JSON.parse(done.stdout)).toMatchObject({ dryRun: false, applied: changes.length });
    expect(done.writes.filter((path) => path !== "auth/token/renew-self")).toHaveLength(changes.length);

    const names = changes.map(({ action, kind, path }) => `${action} ${kind} ${path}`);
    const lines = dry.stdout.trimEnd().split("\n");
    expect(lines.slice(0, -1).map((line) => line.split(":")[0])).toEqual(names);
    expect(lines.at(-1)).toEndWith("to make; nothing was changed");
    return names;
  }

  test("a fresh cluster shows everything", async () => {
    const mounts = await foretell("setup-mounts", "fresh");
    expect(mounts.filter((name) => name.startsWith("create"))).toHaveLength(9);
    expect(await foretell("write-roles", "fresh")).toHaveLength(32);
  }, 20_000);

  test("a cluster that exists in part shows what is missing and what differs", async () => {
    await admin.remove("fresh/pki/k8s/root");
    await admin.write("sys/mounts/fresh/secrets/tune", { description: "mine" });
    expect(await foretell("setup-mounts", "fresh")).toEqual([
      "update mount fresh/secrets",
      "create CA fresh/pki/k8s",
    ]);
    await admin.remove("sys/policies/acl/fresh/etcd");
    await admin.remove("fresh/secrets/init_token_all");
    await admin.write("auth/token/roles/fresh-worker", { renewable: false });
    expect(await foretell("write-roles", "fresh")).toEqual([
      "create policy fresh/etcd",
      "update token role auth/token/roles/fresh-worker",
      "create init token's id fresh/secrets/init_token_all",
      "create init token fresh-all",
    ]);
  });

  test("a cluster with both flags at once is refused", async () => {
    const { code, stderr, writes } = await watch("setup-mounts", "--check", "--dry-run", "fresh");
    expect({ code, writes }).toEqual({ code: 64, writes: [] });
    expect(stderr).toStartWith("setup-mounts: --dry-run and --check can't be used together\n");
  });
});
