import { beforeAll, describe, expect, test } from "bun:test";
import { defineCluster } from "../../lib/cluster/cluster.ts";
import { setupPolicy } from "../../lib/cluster/needed-policy.ts";
import { api, fields } from "../cluster/api.ts";
import { clientOf } from "../cluster/run.ts";
import { setUpCluster } from "../support/cluster-server.ts";
import { devServer } from "../support/dev-server.ts";
import { runScript } from "../support/script.ts";

const { server } = await devServer();
const admin = api(server.address, server.rootToken);
const env = { VAULT_ADDR: server.address, VAULT_TOKEN: server.rootToken };
const mount = "demo/pki/k8s";

async function setup(...args: readonly string[]) {
  const { code, stdout, stderr } = await runScript("vault-helper", args, { env });
  return { code, lines: stdout.trimEnd().split("\n"), stderr };
}

/** Makes a new default issuer. Returns its id. */
async function replace(name: string, ttl: string): Promise<string> {
  const root = { common_name: "next", issuer_name: name, key_type: "ec", ttl };
  const { data } = await admin.write(`${mount}/root/rotate/internal`, root);
  await admin.write(`${mount}/config/issuers`, { default: name });
  return String(fields(data).issuer_id);
}

const well =
  "demo: nothing to change, mounts, CAs, roles, secrets, policies and tokens are as they should be";

beforeAll(() => setUpCluster(clientOf(server.address, server.rootToken), "demo"), 60_000);

describe("set-up of a cluster whose CAs were rotated", () => {
  beforeAll(async () => {
    for (const [name, ...flags] of [
      ["etcd-k8s", "--new-key"],
      ["k8s-api-proxy", "--new-key"],
      ["k8s-api-proxy"],
    ]) {
      const { code, stderr } = await runScript("rotate-ca", ["demo", name ?? "", ...flags], { env });
      expect([code, stderr]).toEqual([0, ""]);
    }
  }, 60_000);

  test("finds them as they should be", async () => {
    expect(await setup("setup", "--check", "demo")).toEqual({ code: 0, lines: [well], stderr: "" });
    const { lines } = await setup("setup", "--check", "--json", "demo");
    expect(JSON.parse(lines.join(""))).toMatchObject({ changes: [], due: [] });
    expect((await setup("setup", "demo")).lines.at(-1)).toBe(well);
    expect((await setup("status", "demo")).code).toBe(0);
  });
});

describe("set-up of a cluster with a CA that is due", () => {
  const reason =
    "has 3d 2h left; refuses certificates of admin (1y), kube-apiserver, kube-controller-manager, kube-proxy, kube-scheduler, kubelet (30d)";
  const line = `due CA ${mount} next: ${reason}; to fix it: rotate-ca demo k8s`;
  let id = "";
  beforeAll(async () => {
    id = await replace("next", "74h30m");
  });

  test.each([
    ["setup", "demo: nothing to change; 1 CA due"],
    ["setup-mounts", "demo: nothing to change; 1 CA due"],
  ])("%s --check shows it and ends with 2", async (name, last) => {
    expect(await setup(name, "--check", "demo")).toEqual({ code: 2, lines: [line, last], stderr: "" });
    expect(await setup(name, "--dry-run", "demo")).toEqual({ code: 0, lines: [line, last], stderr: "" });
  });

  test.each(["setup", "setup-mounts"])("%s notes it and ends with 0", async (name) => {
    const { code, lines, stderr } = await setup(name, "demo");
    expect([code, lines.at(-1)]).toEqual([0, "demo: nothing to change; 1 CA due"]);
    expect(stderr).toBe(`${line.replace(/^/, `vault-helper ${name}: `)}\n`);
  });

  test("tells machines of it", async () => {
    for (const flags of [["--check"], ["--dry-run"], []]) {
      const { lines } = await setup("setup", "--json", ...flags, "demo");
      expect(JSON.parse(lines.join("\n"))).toMatchObject({
        changes: [],
        applied: 0,
        due: [{ mount, issuer: id, state: "due", reasons: [reason], mend: "rotate-ca demo k8s" }],
      });
    }
  });

  test("counts it beside changes", async () => {
    await admin.write(`sys/mounts/${mount}/tune`, { description: "x" });
    const { code, lines } = await setup("setup", "--check", "demo");
    expect([code, lines.slice(1)]).toEqual([
      2,
      [line, "demo: 1 change (0 created, 1 updated) to make; nothing was changed; 1 CA due"],
    ]);
    const made = await setup("setup", "demo");
    expect([made.code, made.lines.at(-1)]).toEqual([0, "demo: 1 change (0 created, 1 updated); 1 CA due"]);
  });

  test("leaves it to setup-mounts in write-roles", async () => {
    const { code, lines, stderr } = await setup("write-roles", "--check", "demo");
    const last = "demo: nothing to change, roles, secrets, policies and tokens are as they should be";
    expect({ code, lines, stderr }).toEqual({ code: 0, lines: [last], stderr: "" });
    const json = await setup("write-roles", "--check", "--json", "demo");
    expect(Object.keys(JSON.parse(json.lines.join("\n")))).not.toContain("due");
  });

  test("tells it to a token with the printed policy, and goes on without the rights to find out", async () => {
    const runWith = async (policy: string) => {
      await admin.write("sys/policies/acl/limited", { policy });
      const { auth } = await admin.write("auth/token/create", { policies: ["limited"] });
      const limited = { ...env, VAULT_TOKEN: String(fields(auth).client_token) };
      return await runScript("setup-mounts", ["--check", "demo"], { env: limited });
    };
    const policy = setupPolicy(defineCluster("demo"), ["mounts"]);
    expect(await runWith(policy)).toMatchObject({ code: 2, stderr: "" });
    const older = policy.replaceAll(/path "[^"]*\/roles(\/\*)?" \{[^}]*\}\n*/g, "");
    expect(older).not.toBe(policy);
    const { code, stdout, stderr } = await runWith(older);
    expect([code, stdout]).toEqual([0, "demo: nothing to change, mounts and CAs are as they should be\n"]);
    expect(stderr).toMatch(
      /^setup-mounts: can't tell whether a CA is due: .*permission denied.*pki\/.*\/roles/,
    );
  });

  test("says the same of one that has expired, but nothing of one that an admin made read-only", async () => {
    await replace("short", "1s");
    await Bun.sleep(2200);
    const { code, lines } = await setup("setup", "--check", "demo");
    expect([code, lines[0]]).toEqual([
      2,
      `due CA ${mount} short: has expired; to fix it: rotate-ca demo k8s`,
    ]);
    const quiet = await replace("quiet", "175200h");
    await admin.write(`${mount}/issuer/${quiet}`, { issuer_name: "quiet", usage: "read-only" });
    expect(await setup("setup", "--check", "demo")).toEqual({ code: 0, lines: [well], stderr: "" });
  });

  test("is right once the command has run that it shows", async () => {
    await replace("last", "74h30m");
    expect((await setup("setup", "--check", "demo")).code).toBe(2);
    expect((await runScript("rotate-ca", ["demo", "k8s"], { env })).code).toBe(0);
    expect(await setup("setup", "--check", "demo")).toEqual({ code: 0, lines: [well], stderr: "" });
  }, 30_000);
});
