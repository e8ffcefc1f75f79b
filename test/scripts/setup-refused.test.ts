import { describe, expect, test } from "bun:test";
import { api } from "../cluster/api.ts";
import { relayedServer } from "../support/dev-server.ts";
import { runScript } from "../support/script.ts";

const { server, relay } = await relayedServer();
const admin = api(server.address, server.rootToken);
const env = { VAULT_ADDR: relay.address, VAULT_TOKEN: server.rootToken };

const pki = (id: string) =>
  ["etcd-k8s", "etcd-overlay", "k8s", "k8s-api-proxy"].map((name) => `${id}/pki/${name}`);

describe("write-roles before setup-mounts", () => {
  test("says so in one sentence, and writes nothing", async () => {
    relay.reset();
    const paths = [...pki("early"), "early/secrets"].join(", ");
    expect(await runScript("write-roles", ["early"], { env })).toEqual({
      code: 78,
      stdout: "",
      stderr:
        `write-roles: cluster early lacks some of its mounts: ${paths}\n` +
        "  run setup-mounts early first\n",
    });
    expect(relay.passed).toEqual([{ method: "GET", path: "sys/mounts" }]);
  });

  test("names the one missing mount, with and without --dry-run", async () => {
    for (const path of [...pki("part").slice(1)]) await admin.write(`sys/mounts/${path}`, { type: "pki" });
    await admin.write("sys/mounts/part/secrets", { type: "generic" });
    for (const flag of ["--dry-run", "--check", "--json"]) {
      const { code, stdout, stderr } = await runScript("write-roles", [flag, "part"], { env });
      expect(code).toBe(78);
      if (flag === "--json") expect(JSON.parse(stdout)).toMatchObject({ error: { exitCode: 78 } });
      else expect(stdout).toBe("");
      expect(stderr).toContain("cluster part lacks some of its mounts: part/pki/etcd-k8s\n");
    }
  });
});

describe.each(["setup-mounts", "write-roles"])("%s", (script) => {
  test.each([
    ["", "<cluster> is empty"],
    ["1a", '"1a" is not a cluster id'],
    ["a_b", '"a_b" is not a cluster id'],
    ["a/b", '"a/b" is not a cluster id'],
    ["..", '".." is not a cluster id'],
    ["DEMO", '"DEMO" is not a cluster id'],
    ["x".repeat(64), `"${"x".repeat(64)}" is not a cluster id`],
  ])("refuses the cluster id %j before it asks the server", async (id, sentence) => {
    relay.reset();
    const { code, stdout, stderr } = await runScript(script, [id], { env });
    expect({ code, stdout, first: stderr.split("\n")[0] }).toEqual({
      code: 64,
      stdout: "",
      first: `${script}: ${sentence}`,
    });
    expect(relay.passed).toEqual([]);
  });

  test("needs an admin's token before it asks the server", async () => {
    relay.reset();
    const { code, stderr } = await runScript(script, ["demo"], { env: { VAULT_ADDR: relay.address } });
    expect(code).toBe(77);
    expect(stderr).toStartWith(`${script}: there is no admin's token\n`);
    expect(relay.passed).toEqual([]);
  });
});

describe("write-roles --init-token-worker", () => {
  test.each(["hvs.x", "s.x", "a b", "x".repeat(129)])(
    "refuses %j before it asks the server",
    async (token) => {
      relay.reset();
      const { code, stderr } = await runScript("write-roles", ["demo", `--init-token-worker=${token}`], {
        env,
      });
      expect(code).toBe(64);
      expect(stderr).toStartWith("write-roles: --init-token-worker can't be the id of a token\n");
      expect(relay.passed).toEqual([]);
    },
  );

  test("that differs from the stored one is refused with both places named, and neither id", async () => {
    await runScript("setup-mounts", ["flag"], { env });
    await runScript("write-roles", ["flag", "--init-token-worker=stored-secret"], { env });
    relay.reset();
    const args = ["flag", "--init-token-worker", "asked-secret", "--json", "--log-level=2"];
    const { code, stdout, stderr } = await runScript("write-roles", args, { env });
    const sentence =
      "--init-token-worker differs from the init token that is stored at flag/secrets/init_token_worker";
    expect(code).toBe(78);
    expect(JSON.parse(stdout)).toMatchObject({ error: { message: sentence, exitCode: 78 } });
    expect(stderr).toContain(`write-roles: ${sentence}\n`);
    expect(stdout + stderr).not.toMatch(/stored-secret|asked-secret/);
    expect(relay.writes()).toEqual([]);
  }, 20_000);
});

describe("a set-up that is forbidden one write", () => {
  const path = "sys/policies/acl/denied/worker";
  const allBut =
    `path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }\n` +
    `path "${path}" { capabilities = ["read"] }\n`;
  const tokenOf = async (policy: string) => {
    await admin.write("sys/policies/acl/but-one", { policy });
    const { auth } = await admin.write("auth/token/create", { policies: ["but-one"] });
    return { ...env, VAULT_TOKEN: String(Object(auth).client_token) };
  };

  test("says so before it changes anything, and still shows the plan", async () => {
    const limited = await tokenOf(allBut);
    for (const [script, words] of [
      ["vault-helper", ["setup", "denied"]],
      ["vault-helper", ["setup", "--json", "denied"]],
    ] as const) {
      relay.reset();
      const { code, stdout, stderr } = await runScript(script, words, { env: limited });
      expect({ code, stderr, writes: relay.writes() }).toEqual({
        code: 77,
        stderr:
          "vault-helper setup: the token may not make all changes to cluster denied\n" +
          `  nothing was changed; the token needs a policy with the capability "update" on ${path}\n`,
        writes: [],
      });
      if (stdout === "") continue;
      expect(JSON.parse(stdout)).toMatchObject({ applied: 0, error: expect.any(String), exitCode: 77 });
    }
    const { code, stdout } = await runScript("vault-helper", ["setup", "--dry-run", "denied"], {
      env: limited,
    });
    expect([code, stdout]).toEqual([0, expect.stringContaining("create policy denied/worker\n")]);
  });

  test("ends with a message and what to grant if the server does not list its rights, and keeps the changes made before", async () => {
    await runScript("setup-mounts", ["denied"], { env });
    const limited = await tokenOf(`${allBut}path "sys/capabilities-self" { capabilities = ["deny"] }\n`);

    const stopped = await runScript("write-roles", ["denied"], { env: limited });
    expect(stopped.code).toBe(77);
    expect(stopped.stdout.trimEnd().split("\n").at(-1)).toBe("create policy denied/master");
    expect(stopped.stderr.split("\n")).toEqual([
      "write-roles: stopped after 15 changes (15 created, 0 updated); run it again to go on",
      expect.stringMatching(
        /^write-roles: POST sys\/policies\/acl\/denied\/worker: permission denied \(HTTP 403, .*permission denied\)$/,
      ),
      `  the token needs a policy with the capabilities "create" and "update" on ${path}`,
      "",
    ]);

    const again = await runScript("write-roles", ["--json", "denied"], { env: limited });
    expect(again.code).toBe(77);
    expect(JSON.parse(again.stdout)).toMatchObject({
      applied: 0,
      error: expect.stringContaining(`POST ${path}: permission denied`),
      hint: expect.stringContaining("the token needs a policy"),
      exitCode: 77,
    });

    const rest = await runScript("write-roles", ["denied"], { env });
    expect(rest.stdout).toEndWith("denied: 17 changes (17 created, 0 updated)\n");
  }, 20_000);
});
