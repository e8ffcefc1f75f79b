import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { api } from "../cluster/api.ts";
import { readObjects, storedTokens, wantedObjects } from "../cluster/objects.ts";
import { relayedServer } from "../support/dev-server.ts";
import { temporaryFolder } from "../support/folder.ts";
import { runScript } from "../support/script.ts";

const { server, relay } = await relayedServer();
const folder = temporaryFolder();
afterAll(() => folder[Symbol.dispose]());
const admin = api(server.address, server.rootToken);
const env = { VAULT_ADDR: relay.address, VAULT_TOKEN: server.rootToken };
const tool = "vault-helper";

/** Runs one of the tool's commands in the folder of the files. @returns its output and how many writes it sent */
async function say(...args: readonly string[]) {
  relay.reset();
  const result = await runScript(tool, args, { env, cwd: folder.path });
  return { ...result, writes: relay.writes().filter(({ path }) => path !== "auth/token/renew-self").length };
}

function write(name: string, text: string): void {
  writeFileSync(join(folder.path, name), text);
}

const more = `id = "filed"
max_validity_ca = "30y"
max_validity_components = "60d"
kubelet_domains = ["*.nodes.example.com"]

[[pki_roles]]
mount = "k8s"
name = "ingress"
allow_any_name = true
`;
const note =
  "filed was set up with a file, which still counts; --config replaces it, --narrow goes back to none\n";

describe("a set-up with --config", () => {
  beforeAll(async () => {
    write("cluster.toml", more);
    const { code, stdout, stderr } = await say("setup", "--config", "cluster.toml");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toEndWith("filed: 45 changes (44 created, 1 updated)\n");
  }, 60_000);

  test("takes the cluster's id from it, or from both", async () => {
    for (const half of ["setup-mounts", "write-roles", "setup"]) {
      for (const words of [[], ["filed"]]) {
        const { code, stdout, stderr, writes } = await say(half, "--config=cluster.toml", ...words);
        expect({ code, stderr, writes }).toEqual({ code: 0, stderr: "", writes: 0 });
        expect(stdout).toContain("filed: nothing to change");
      }
    }
  });

  test.each(["setup-mounts", "write-roles", "setup"])(
    "still counts in a later run of %s without it, which says so",
    async (half) => {
      const { code, stdout, stderr, writes } = await say(half, "filed");
      expect({ code, stderr, writes }).toEqual({
        code: 0,
        stderr: `vault-helper ${half}: ${note}`,
        writes: 0,
      });
      expect(stdout).toContain("filed: nothing to change");
      const check = await say(half, "--check", "--json", "filed");
      expect({ code: check.code, writes: check.writes }).toEqual({ code: 0, writes: 0 });
      expect(JSON.parse(check.stdout)).toMatchObject({ cluster: "filed", file: "stored", changes: [] });
    },
  );

  test("is predicted by a dry run, a check and JSON, with its deletions", async () => {
    write("less.toml", 'max_validity_components = "60d"\n');
    const lines = [
      "delete PKI role filed/pki/k8s/roles/ingress",
      'update cluster file filed/secrets/cluster-file-roles: kubelet_domains ["*.nodes.example.com"] -> null, ' +
        'pki_roles [{"allow_any_name":true,"mount":"k8s","name":"ingress"}] -> null',
      expect.stringMatching(/^update PKI role filed\/pki\/k8s\/roles\/kubelet: allowed_domains \[/),
    ];
    const dry = await say("write-roles", "--config=less.toml", "--dry-run", "filed");
    expect({ code: dry.code, stderr: dry.stderr, writes: dry.writes }).toEqual({
      code: 0,
      stderr: "",
      writes: 0,
    });
    expect(dry.stdout.trimEnd().split("\n")).toEqual([
      ...lines,
      "filed: 3 changes (0 created, 2 updated, 1 deleted) to make; nothing was changed",
    ]);
    const check = await say("write-roles", "--config=less.toml", "--check", "--json", "filed");
    expect({ code: check.code, writes: check.writes }).toEqual({ code: 2, writes: 0 });
    const done = await say("write-roles", "--config=less.toml", "--json", "filed");
    expect({ code: done.code, writes: done.writes }).toEqual({ code: 0, writes: 3 });
    const { changes } = JSON.parse(done.stdout);
    expect(changes).toEqual(JSON.parse(check.stdout).changes);
    expect(changes[0]).toEqual({
      action: "delete",
      kind: "PKI role",
      path: "filed/pki/k8s/roles/ingress",
      fields: [],
    });
    expect(JSON.parse(done.stdout)).toMatchObject({ file: "given", applied: 3 });
    await say("write-roles", "--config=cluster.toml");
  });

  test("refuses a flag that contradicts the given or stored file, before anything is changed", async () => {
    const cases = [
      [["--config=cluster.toml"], "cluster.toml"],
      [["filed"], "secret filed/secrets/cluster-file-mounts"],
    ] as const;
    for (const [words, name] of cases) {
      const { code, stdout, stderr, writes } = await say("setup-mounts", "--max-validity-ca=20y", ...words);
      expect({ code, stdout, writes }).toEqual({ code: 64, stdout: "", writes: 0 });
      expect(stderr).toBe(
        `vault-helper setup-mounts: --max-validity-ca (20y) differs from max_validity_ca in ${name} (30y)\n` +
          "  nothing was changed; leave the flag out, or change the file\n",
      );
      const same = await say("setup-mounts", "--max-validity-ca=30y", ...words);
      expect({ code: same.code, writes: same.writes }).toEqual({ code: 0, writes: 0 });
    }
  });

  test("is undone by --narrow: the cluster is then the same as one without a file", async () => {
    const look = await say("setup", "--narrow", "--check", "filed");
    expect({ code: look.code, stderr: look.stderr, writes: look.writes }).toEqual({
      code: 2,
      stderr: "",
      writes: 0,
    });
    const { code, stdout, stderr } = await say("setup", "--narrow", "filed");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toEndWith("filed: 17 changes (0 created, 14 updated, 3 deleted)\n");
    const wanted = wantedObjects("filed", await storedTokens(admin, "filed"));
    expect(await readObjects(admin, "filed", wanted)).toEqual(wanted);
    expect(await say("setup", "filed")).toMatchObject({ code: 0, stderr: "", writes: 0 });
  });
});

describe("a file that can't be used is reported before the server is asked:", () => {
  test.each<readonly [string, string, readonly string[], number, string]>([
    ["that is missing", "", ["--config=nowhere.toml", "demo"], 78, "there is no file nowhere.toml"],
    ["a folder", "", ["--config=folder", "demo"], 65, "folder is not a plain file"],
    ["not TOML", "id = ", ["--config=it.toml"], 78, "it.toml:1: it is not TOML: "],
    [
      "an unknown field",
      "\nids = 1",
      ["--config=it.toml", "demo"],
      78,
      "it.toml:2: ids is not a field of a cluster file",
    ],
    [
      "a bad value",
      '[[pki_roles]]\nmount = "k"',
      ["--config=it.toml", "demo"],
      78,
      "it.toml:2: mount has to be one of ",
    ],
    [
      "a cluster file of another cluster",
      'id = "demo"',
      ["--config=it.toml", "other"],
      64,
      "it.toml is for cluster demo, not for other",
    ],
    ["without an id", "", ["--config=it.toml"], 64, "<cluster> is missing"],
    ["none, and no id", "", [], 64, "<cluster> is missing"],
    [
      "with --narrow",
      'id = "demo"',
      ["--config=it.toml", "--narrow"],
      64,
      "--config and --narrow can't be used together",
    ],
  ])("%s", async (_, text, words, code, sentence) => {
    write("it.toml", text);
    mkdirSync(join(folder.path, "folder"), { recursive: true });
    for (const half of ["setup-mounts", "write-roles", "setup"]) {
      const result = await say(half, ...words);
      expect({ code: result.code, stdout: result.stdout }).toEqual({ code, stdout: "" });
      expect(result.stderr).toStartWith(`vault-helper ${half}: ${sentence}`);
      expect(relay.passed).toEqual([]);
    }
  });

  test("one that is writable by everyone", async () => {
    write("open.toml", 'id = "demo"');
    chmodSync(join(folder.path, "open.toml"), 0o666);
    expect(await say("setup", "--config=open.toml")).toMatchObject({
      code: 78,
      stderr:
        "vault-helper setup: open.toml is writable by everyone\n" +
        "  its writers decide what hosts may do; chmod o-w open.toml\n",
      writes: 0,
    });
  });
});
