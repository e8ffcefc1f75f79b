import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { api } from "../cluster/api.ts";
import { readWholeServer } from "../cluster/whole-server.ts";
import { type ClusterServer, startCluster } from "../support/cluster-server.ts";
import { type Relay, startRelay } from "../support/relay.ts";
import { runScript, scriptPath } from "../support/script.ts";

let server: ClusterServer;
let relay: Relay;
let env: Readonly<Record<string, string>>;
beforeAll(async () => {
  server = await startCluster();
  relay = startRelay(server.address);
  env = { VAULT_ADDR: relay.address, VAULT_TOKEN: server.rootToken };
  for (const role of ["etcd", "worker", "worker"] as const) await server.hostToken(role);
  const admin = api(server.address, server.rootToken);
  await admin.write("demo/pki/k8s/roles/hand", { allow_any_name: true, ttl: "1h" });
  await admin.write("demo/pki/k8s/issue/hand", { common_name: "x.example" });
  await admin.write("demo/secrets/mine", { a: "b" });
});
afterAll(async () => {
  await relay[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const names = ["all", "worker", "master", "etcd"];
const plan = [
  ...names.map((name) => `remove  init token  demo-${name}`),
  ...names.map((name) => `remove  token role  auth/token/roles/demo-${name}`),
  ...names.map((name) => `remove  policy      demo/${name}-creator`),
  ...names.slice(1).map((name) => `remove  policy      demo/${name}`),
  "remove  mount       demo/secrets                  7 secrets, 1 of them not from set-up",
  "remove  mount       demo/pki/k8s-api-proxy        0 unexpired certificates of 0 stored, 1 issuer",
  "remove  mount       demo/pki/k8s                  1 unexpired certificate of 1 stored, 1 issuer, 1 role not from set-up",
  "remove  mount       demo/pki/etcd-overlay         0 unexpired certificates of 0 stored, 1 issuer",
  "remove  mount       demo/pki/etcd-k8s             0 unexpired certificates of 0 stored, 1 issuer",
];
const hosts = "host tokens: 1 of demo-etcd, 2 of demo-worker";
const leftHosts =
  "  they are of no use until a cluster demo is set up again, and can't be renewed; --revoke-hosts revokes them";
const leftLease = "leave auth/token's max lease TTL, which other tokens may need";
const rest = [
  leftLease,
  "lost for ever: the keys of 4 CAs, the service accounts' key, the encryption config (what it encrypted can't be read without it)",
];
const reading = ["auth/token/lookup-accessor", "sys/capabilities-self"];

/** Runs it. @returns its output, and how many writes it sent */
async function run(...args: readonly string[]) {
  relay.reset();
  const { code, stdout, stderr } = await runScript("teardown", args, { env });
  const writes = relay.writes().filter(({ path }) => !reading.includes(path));
  return { code, stdout, lines: stdout.split("\n").slice(0, -1), stderr, writes: writes.length };
}

describe("teardown", () => {
  test("--dry-run shows what would be removed with its contents, and removes nothing", async () => {
    expect(await run("--dry-run", "demo")).toMatchObject({
      code: 0,
      lines: [...plan, `leave ${hosts}`, leftHosts, ...rest],
      stderr: "",
      writes: 0,
    });
  });

  test("is a command of vault-helper, and so is the status of what it would remove", async () => {
    const plan = await runScript("teardown", ["--dry-run", "demo"], { env });
    expect(await runScript("vault-helper", ["teardown", "--dry-run", "demo"], { env })).toEqual(plan);
    // Only state and thing: the time left changes every second.
    const things = async (executable: string, ...words: readonly string[]) => {
      const { code, stdout } = await runScript(executable, words, { env });
      const lines = stdout.trimEnd().split("\n").slice(0, -1);
      return [code, ...lines.map((line) => line.split(/ {2,}/).slice(0, 2).join(" ")).sort()];
    };
    const found = await things("status", "demo");
    expect(found).toContain("ok init token worker");
    expect(await things("vault-helper", "status", "demo")).toEqual(found);
  });

  test("without the second id shows the same, removes nothing and says what is missing", async () => {
    const { stdout } = await run("--dry-run", "demo");
    expect(await run("demo")).toMatchObject({
      code: 64,
      stdout,
      stderr:
        "teardown: nothing was removed: it has to be confirmed with the cluster's id\n  add --yes demo\n",
      writes: 0,
    });
  });

  test.each([
    [["--yes", "demo-2", "demo"], '--yes names "demo-2", but the cluster is demo'],
    [["--yes", "DEMO", "demo"], '--yes names "DEMO", but the cluster is demo'],
    [["--yes", "demo", "--dry-run", "demo"], "--dry-run and --yes can't be used together"],
    [["--yes", "demo"], "<cluster> is missing"],
    [["--yes", "demo", "../demo"], '"../demo" is not a cluster id'],
  ])("%j sends no request", async (args, sentence) => {
    const { code, stdout, stderr } = await run(...args);
    expect({ code, stdout, first: stderr.split("\n")[0] }).toEqual({
      code: 64,
      stdout: "",
      first: `teardown: ${sentence}`,
    });
    expect(relay.passed).toEqual([]);
  });

  test("--json prints the same, with the exit code", async () => {
    const { code, stdout, stderr, writes } = await run("--json", "demo");
    expect({ code, writes }).toEqual({ code: 64, writes: 0 });
    expect(stderr).toStartWith("teardown: nothing was removed");
    const answer = JSON.parse(stdout);
    expect(answer).toMatchObject({
      cluster: "demo",
      kept: [],
      hostTokens: { "demo-etcd": 1, "demo-worker": 2 },
      otherTokens: 0,
      removed: 0,
      revokedHostTokens: 0,
    });
    expect(answer.removals).toHaveLength(20);
    expect(answer.removals[17]).toEqual({
      kind: "mount",
      path: "demo/pki/k8s",
      contents: { unexpiredCertificates: 1, storedCertificates: 1, issuers: 1, caKeys: 1, otherRoles: 1 },
    });
  });

  test("shows texts from others without control characters", async () => {
    const admin = api(server.address, server.rootToken);
    const place = "demo/secrets/init_token_worker";
    const stored = await admin.find(place);
    const policies = ["demo/worker-creator", "\u001b[2J\nremoved"];
    await admin.write("auth/token/create-orphan", { id: "of-more", policies });
    await admin.write(place, { init_token: "of-more" });
    const { lines } = await run("--dry-run", "demo");
    expect(lines).toContain(
      `leave init token demo-worker: the init token of ${place} also holds other policies: \ufffd[2j\ufffdremoved`,
    );
    await admin.write(place, stored);
    await admin.write("auth/token/revoke", { token: "of-more" });
    const hostile = startRelay(server.address, () =>
      Response.json({ errors: ["no\u001b[2J"] }, { status: 400 }),
    );
    const { stderr } = await runScript("teardown", ["demo"], {
      env: { ...env, VAULT_ADDR: hostile.address },
    });
    await hostile[Symbol.asyncDispose]();
    expect(stderr).toEndWith(": HTTP 400, no\ufffd[2J\n");
  });

  test("that is refused halfway says how far it got", async () => {
    const failing = startRelay(server.address, ({ method, path }) =>
      method === "DELETE" && path === "sys/policies/acl/demo/all-creator"
        ? Response.json({ errors: ["no"] }, { status: 400 })
        : undefined,
    );
    const { code, stdout, stderr } = await runScript("teardown", ["--yes", "demo", "--json", "demo"], {
      env: { ...env, VAULT_ADDR: failing.address },
    });
    await failing[Symbol.asyncDispose]();
    expect({ code, stderr }).toEqual({
      code: 65,
      stderr:
        "teardown: stopped after 8 objects; run it again to go on\n" +
        "teardown: DELETE sys/policies/acl/demo/all-creator: HTTP 400, no\n",
    });
    expect(JSON.parse(stdout)).toMatchObject({
      removed: 8,
      error: expect.stringContaining("HTTP 400, no"),
      hint: null,
      exitCode: 65,
    });
  });

  test("that gets a signal while the server removes a mount waits for that, says so, and then stops", async () => {
    // Before the mount, it has only policies to remove.
    const path = "demo/pki/k8s-api-proxy";
    let stop = () => {};
    const slow = startRelay(server.address, async ({ method, path: asked }) => {
      if (method !== "DELETE" || asked !== `sys/mounts/${path}`) return undefined;
      stop();
      await Bun.sleep(2500);
      return undefined;
    });
    const child = Bun.spawn([await scriptPath("teardown"), "--yes", "demo", "demo"], {
      env: { ...env, VAULT_ADDR: slow.address, VAULT_CLIENT_TIMEOUT: "1s" },
      stdout: "pipe",
      stderr: "pipe",
    });
    stop = () => child.kill("SIGTERM");
    const [stdout, stderr, code] = await Promise.all([
      child.stdout.text(),
      child.stderr.text(),
      child.exited,
    ]);
    await slow[Symbol.asyncDispose]();
    expect(code).toBe(143);
    expect(stdout).toEndWith(`removed mount ${path}\n`);
    expect(stderr.split("\n").slice(0, 2)).toEqual([
      `teardown: removing mount ${path} takes the server a while; still waiting`,
      "teardown: stopped after 9 objects; run it again to go on",
    ]);
  });

  test("--yes --revoke-hosts goes on, prints each removal, and revokes host tokens", async () => {
    const { code, lines, stderr } = await run("--yes", "demo", "--revoke-hosts", "demo");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const left = plan.slice(17);
    // Without the objects that are gone, the columns are narrower.
    expect(lines.map((line) => line.replace(/ {2,}/g, "  "))).toEqual([
      ...left.map((line) => line.replace(/ {2,}/g, "  ")),
      `revoke ${hosts}`,
      leftLease,
      "lost for ever: the keys of 3 CAs",
      ...left.map((line) => `removed ${line.split(/ {2,}/).slice(1, 3).join(" ")}`),
      "demo: removed 3 objects and 3 host tokens",
    ]);
    const { mounts, policies, tokenRoles, tokens } = await readWholeServer(
      api(server.address, server.rootToken),
    );
    expect(JSON.stringify([mounts, policies, tokenRoles, tokens])).not.toContain("demo");
  });

  test("of a cluster that is gone says so, with any flags", async () => {
    const said = { code: 0, stdout: "demo: nothing from set-up is there\n", stderr: "", writes: 0 };
    for (const args of [["demo"], ["--dry-run", "demo"], ["--yes", "demo", "--revoke-hosts", "demo"]]) {
      expect(await run(...args)).toMatchObject(said);
    }
    expect(await run("--log-level=0", "--yes", "demo", "demo")).toMatchObject({ ...said, stdout: "" });
  });

  test("that is refused at a host token says how many were revoked", async () => {
    const admin = api(server.address, server.rootToken);
    await admin.write("auth/token/roles/demo-worker", { allowed_policies: ["demo/worker"] });
    for (const _ of [1, 2]) await admin.write("auth/token/create/demo-worker", {});
    await admin.remove("auth/token/roles/demo-worker");
    let count = 0;
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const failing = startRelay(server.address, async ({ path }, _, pass) => {
      if (path !== "auth/token/revoke-accessor") return undefined;
      if (++count === 1) {
        const answer = await pass();
        // After the command has read it.
        setTimeout(resolve, 500);
        return answer;
      }
      await ended;
      return Response.json({ errors: ["no"] }, { status: 400 });
    });
    const args = ["--yes", "demo", "--revoke-hosts", "--json", "demo"];
    const { code, stdout, stderr } = await runScript("teardown", args, {
      env: { ...env, VAULT_ADDR: failing.address },
    });
    await failing[Symbol.asyncDispose]();
    expect(code).toBe(65);
    expect(stderr).toStartWith("teardown: stopped after 0 objects and 1 host token; run it again to go on\n");
    expect(JSON.parse(stdout)).toMatchObject({ removed: 0, revokedHostTokens: 1 });
  });
});
