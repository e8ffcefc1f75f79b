import { beforeAll, describe, expect, test } from "bun:test";
import { api } from "../cluster/api.ts";
import { goldenTokens, readObjects, wantedObjects } from "../cluster/objects.ts";
import { devServer } from "../support/dev-server.ts";
import { startRelay } from "../support/relay.ts";
import { runScript, type ScriptResult } from "../support/script.ts";

const { server } = await devServer();
const admin = api(server.address, server.rootToken);
const env = { VAULT_ADDR: server.address, VAULT_TOKEN: server.rootToken };
const tokenFlags = Object.entries(goldenTokens).map(([role, id]) => `--init-token-${role}=${id}`);

const setup = (...words: string[]) => runScript("vault-helper", ["setup", ...words], { env });
const lines = ({ stdout }: ScriptResult) => stdout.trimEnd().split("\n");

describe("setup, on a server without the cluster", () => {
  let dry: ScriptResult;
  let check: ScriptResult;
  let json: ScriptResult;
  let made: ScriptResult;
  beforeAll(async () => {
    dry = await setup("golden", "--dry-run", ...tokenFlags);
    check = await setup("golden", "--check");
    json = await setup("golden", "--dry-run", "--json");
    made = await setup("golden", ...tokenFlags);
  }, 60_000);

  test("makes every object of the golden file, and no other", async () => {
    expect(made).toMatchObject({ code: 0, stderr: "" });
    const wanted = wantedObjects("golden", goldenTokens);
    expect(await readObjects(admin, "golden", wanted)).toEqual(wanted);
  });

  test("reports both halves as one", () => {
    expect(lines(made)).toHaveLength(43);
    expect(lines(made).at(0)).toStartWith("update auth tuning auth/token: max_lease_ttl ");
    expect(lines(made).at(-2)).toStartWith("create init token ");
    expect(lines(made).at(-1)).toBe("golden: 42 changes (41 created, 1 updated)");
  });

  test("predicts what it makes, even with no mount to look into", () => {
    expect(dry).toMatchObject({ code: 0, stderr: "" });
    expect(lines(dry).slice(0, -1)).toEqual(lines(made).slice(0, -1));
    expect(lines(dry).at(-1)).toBe("golden: 42 changes (41 created, 1 updated) to make; nothing was changed");
  });

  test("exits with 2 with --check, and prints the same plan with --json", () => {
    expect(check).toMatchObject({ code: 2, stderr: "" });
    expect(lines(check)).toEqual(lines(dry));
    expect([json.code, json.stderr]).toEqual([0, ""]);
    const { cluster, dryRun, changes, applied } = JSON.parse(json.stdout);
    expect([cluster, dryRun, applied]).toEqual(["golden", true, 0]);
    const told = changes.map(({ action, kind, path }: Record<string, string>) => `${action} ${kind} ${path}`);
    expect(told).toEqual(
      lines(made)
        .slice(0, -1)
        .map((line) => line.split(":")[0] ?? ""),
    );
  });

  test("finds nothing to change the second time, and renews the init tokens", async () => {
    const again = await setup("golden", ...tokenFlags);
    expect(again).toMatchObject({ code: 0, stderr: "" });
    expect(lines(again)).toEqual([
      ...["etcd", "master", "worker", "all"].map((role) => `renewed init token ${role}, 5y left`),
      "golden: nothing to change, mounts, CAs, roles, secrets, policies and tokens are as they should be",
    ]);
    expect((await setup("golden", "--check")).code).toBe(0);
  });

  test("leaves nothing to do for either half", async () => {
    for (const half of ["setup-mounts", "write-roles"]) {
      expect((await runScript(half, ["golden", "--check"], { env })).code).toBe(0);
    }
  });
});

describe("setup, if a part exists,", () => {
  test("makes the other part: mounts only", async () => {
    await runScript("setup-mounts", ["half"], { env });
    const { code, stdout } = await setup("half", "--dry-run");
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^create PKI role half\/pki\//)]);
    expect(stdout).not.toContain("mount");
  });

  test("makes the other part: one mount is missing, and the contents of the others are not shown", async () => {
    await setup("parts");
    await admin.remove("sys/mounts/parts/pki/k8s-api-proxy");
    const { code, stdout } = await setup("parts");
    expect(code).toBe(0);
    expect(stdout.split("\n").slice(0, 3)).toEqual([
      "create mount parts/pki/k8s-api-proxy",
      "create CA parts/pki/k8s-api-proxy",
      "create PKI role parts/pki/k8s-api-proxy/roles/kube-apiserver",
    ]);
    expect(stdout).toContain("\nparts: 3 changes (3 created, 0 updated)\n");
  }, 60_000);

  test("changes nothing if one half is impossible: another init token, another type of mount", async () => {
    await runScript("setup-mounts", ["stuck"], { env });
    await runScript("write-roles", ["stuck", "--init-token-etcd=stuck-etcd"], { env });
    await admin.remove("sys/mounts/stuck/pki/k8s");
    await using relay = startRelay(server.address);
    const other = await runScript("vault-helper", ["setup", "stuck", "--init-token-etcd=another"], {
      env: { ...env, VAULT_ADDR: relay.address },
    });
    expect([other.code, other.stdout]).toEqual([78, ""]);
    expect(other.stderr).toStartWith("vault-helper setup: --init-token-etcd differs from the init token");
    await admin.write("sys/mounts/stuck/pki/k8s", { type: "transit" });
    const type = await runScript("vault-helper", ["setup", "stuck"], {
      env: { ...env, VAULT_ADDR: relay.address },
    });
    expect([type.code, type.stdout]).toEqual([78, ""]);
    expect(type.stderr).toStartWith("vault-helper setup: mount stuck/pki/k8s is of type transit");
    expect(relay.writes()).toEqual([]);
  }, 60_000);
});

describe("setup refuses", () => {
  test.each([
    [["golden", "--dry-run", "--check"], "--dry-run and --check can't be used together"],
    [[], "<cluster> is missing"],
    [["golden", "--max-validity-admin=1"], "is not a duration"],
    [["golden", "--init-token-etcd=x", "--init-token-all=x"], "are the same id"],
  ])("%j", async (words, sentence) => {
    const { code, stdout, stderr } = await setup(...words);
    expect([code, stdout]).toEqual([64, ""]);
    expect(stderr).toContain(sentence);
  });
});
