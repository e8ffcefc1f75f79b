import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defineCluster } from "../../lib/cluster/cluster.ts";
import { pkiMounts } from "../../lib/cluster/mounts.ts";
import { randomHex } from "../../lib/host/durable.ts";
import { resolveServerBinary } from "../../lib/server/binary.ts";
import { readSecret, writeSecret } from "../../lib/vault/kv.ts";
import { enableMount } from "../../lib/vault/sys.ts";
import { scriptPath } from "../support/script.ts";
import { type RawServer, startRaw } from "../support/scripted.ts";
import { until } from "../support/wait.ts";
import { type Heard, pieces } from "./listener.ts";
import { createWorld, findings, putSecret, runTraced, type Stage, setStage, type World } from "./world.ts";

let stage: Stage;
/** A server that breaks off each answer. */
let breaking: RawServer;
/** Makes a cluster with mounts for `write-roles`, and with a key so that none has to be made each time. */
let halfway: () => Promise<string>;
beforeAll(async () => {
  stage = await setStage();
  breaking = await startRaw({
    onRequest(socket) {
      socket.write(
        'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"auth":',
      );
      setTimeout(() => socket.resetAndDestroy(), 20);
    },
  });
  halfway = async () => {
    const id = `c${randomHex(5)}`;
    const { admin: client } = stage.server;
    for (const { path } of pkiMounts(defineCluster(id))) await enableMount(client, path, "pki", {});
    await enableMount(client, `${id}/secrets`, "generic", {});
    await writeSecret(client, `${id}/secrets/service-accounts`, { key: `key-${randomHex(16)}` });
    return id;
  };
});
afterAll(async () => {
  await breaking[Symbol.asyncDispose]();
  await stage[Symbol.asyncDispose]();
});
beforeEach(() => {
  stage.listener.spoil = undefined;
});

interface Job {
  readonly script: string;
  /** The request that gets a fault: the one with a secret in it, if there is one. */
  readonly spoiled: RegExp;
  /** The request is a read. Reads of other jobs get no fault. */
  readonly spoilsReads?: true;
  /** Writes the secrets that are needed. Returns the command line. */
  prepare(world: World): Promise<{ args: readonly string[]; env?: Readonly<Record<string, string>> }>;
}

const admin = () => ({ VAULT_TOKEN: stage.server.rootToken });

const jobs: readonly Job[] = [
  {
    script: "setup-mounts",
    spoiled: /^sys\/mounts\/c/,
    prepare: async () => ({ args: [`c${randomHex(5)}`], env: admin() }),
  },
  {
    script: "write-roles",
    spoiled: /\/secrets\/(encryption-config|init_token_worker)$|create-orphan$/,
    prepare: async () => ({ args: [await halfway()], env: admin() }),
  },
  {
    script: "renew-token",
    spoiled: /^auth\/token\/create\//,
    async prepare(world) {
      putSecret(world, "vault/init-token", await stage.server.initToken("worker"));
      return { args: ["--config-path", "vault"] };
    },
  },
  {
    script: "issue-cert",
    spoiled: /\/sign\//,
    async prepare(world) {
      putSecret(world, "vault/token", await stage.server.hostToken("all"));
      return { args: ["--config-path", "vault", "demo/pki/etcd-k8s/sign/server", "etcd-1", "ssl/etcd"] };
    },
  },
  {
    script: "write-kubeconfig",
    spoiled: /\/sign\//,
    async prepare(world) {
      putSecret(world, "vault/token", await stage.server.hostToken("all"));
      const words = ["demo/pki/etcd-k8s/sign/server", "etcd-1", "ssl/etcd", "kube/config"];
      return { args: ["--config-path", "vault", ...words] };
    },
  },
  ...[[], ["-f", "key"]].map(
    (field): Job => ({
      script: "read-secret",
      spoiled: /^demo\/secrets\//,
      spoilsReads: true,
      async prepare(world) {
        putSecret(world, "vault/token", await stage.server.hostToken("master"));
        return { args: ["-p", "vault", "-d", "secret", ...field, "demo/secrets/service-accounts"] };
      },
    }),
  ),
];

interface Situation {
  readonly name: string;
  readonly isFault: boolean;
  /** Answers instead of the server. */
  answer?(pass: () => Promise<Response>): Response | Promise<Response>;
  /** A fault of the system, in strace's words. */
  readonly inject?: string;
  /** Uses a server that breaks off every answer. */
  readonly breaksOff?: true;
  /** The answer to a write is not read. */
  readonly isNothingToWrites?: true;
  /** Only for jobs that write files. */
  readonly onHosts?: true;
}

const errors = (status: number, words: string) => () => Response.json({ errors: [words] }, { status });

/** The real answer, spoiled. */
async function textOf(pass: () => Promise<Response>): Promise<string> {
  return (await (await pass()).text()).trim();
}

const situations: readonly Situation[] = [
  { name: "success", isFault: false },
  { name: "403", isFault: true, answer: errors(403, "permission denied") },
  {
    name: "403 for an unknown token",
    isFault: true,
    answer: errors(403, "2 errors occurred: permission denied, invalid token"),
  },
  { name: "400", isFault: true, answer: errors(400, "no") },
  { name: "503 of a sealed server", isFault: true, answer: errors(503, "Vault is sealed") },
  {
    name: "a proxy's page that repeats request and answer",
    isFault: true,
    answer: async (pass) =>
      new Response(`<html>${[...stage.listener.secrets].join(" ")}${await textOf(pass)}`, { status: 502 }),
  },
  {
    name: "JSON that is cut off",
    isFault: true,
    answer: async (pass) => new Response(`{"errors":[],${(await textOf(pass)).slice(1, -1)}`),
  },
  { name: "a connection that breaks off in the middle of an answer", isFault: true, breaksOff: true },
  {
    name: "an answer whose fields have other types",
    isFault: true,
    isNothingToWrites: true,
    answer: async (pass) =>
      Response.json({ errors: [], auth: [await textOf(pass)], data: await textOf(pass) }, { status: 200 }),
  },
  { name: "a disk that reports an error", isFault: true, onHosts: true, inject: "fsync:error=EIO:when=1+" },
  { name: "a read-only folder", isFault: true, onHosts: true, inject: "rename:error=EROFS:when=1+" },
];

const levels = ["0", "1", "2"].flatMap((level) => [[level], [level, "--json"]] as const);

describe.each(jobs.map((job) => [job.script, job] as const))("%s leaves no secret", (script, job) => {
  const isHosts = ["renew-token", "issue-cert", "write-kubeconfig", "read-secret"].includes(script);
  const played = situations.filter(({ onHosts }) => onHosts !== true || isHosts);
  test.each(played.map((it) => [it.name, it] as const))("after %s", async (_, situation) => {
    for (const [level, ...json] of levels) {
      using world = createWorld(stage);
      const { args, env } = await job.prepare(world);
      let spoiled = 0;
      const { answer } = situation;
      stage.listener.spoil = (heard: Heard, pass) => {
        const isLeft = heard.method === "GET" && job.spoilsReads !== true;
        if (answer === undefined || isLeft || !job.spoiled.test(heard.path)) return undefined;
        spoiled++;
        return answer(pass) as Promise<Response>;
      };
      const elsewhere = situation.breaksOff === true ? { VAULT_ADDR: breaking.address } : {};
      const command = ["-l", level, ...json, ...args];
      const run = await runTraced(world, script, command, { ...env, ...elsewhere }, situation.inject);
      stage.listener.spoil = undefined;
      expect({ level, json, found: findings(world, stage, run) }).toEqual({ level, json, found: [] });
      if (answer !== undefined) expect(spoiled).toBeGreaterThan(0);
      const isSeen = situation.isFault && (isHosts || situation.isNothingToWrites !== true);
      const said = run.stderr.replace(/^.*the init token was exchanged for a host token.*\n/m, "");
      expect([run.code !== 0, said !== ""]).toEqual(isSeen ? [true, true] : [false, level === "2"]);
    }
  });
});

describe("status leaves no secret", () => {
  test.each(situations.map((it) => [it.name, it] as const))("after %s", async (_, situation) => {
    using world = createWorld(stage);
    putSecret(world, "vault/token", await stage.server.hostToken("all"));
    const host = ["--config-path", "vault"];
    const sign = "demo/pki/etcd-k8s/sign/server";
    expect((await runTraced(world, "issue-cert", [...host, sign, "etcd-1", "ssl/etcd"])).code).toBe(0);
    const { answer } = situation;
    const elsewhere = situation.breaksOff === true ? { VAULT_ADDR: breaking.address } : {};
    for (const [level, ...json] of levels) {
      let spoiled = 0;
      stage.listener.spoil = (_heard, pass) => {
        if (answer === undefined) return undefined;
        spoiled++;
        return answer(pass) as Promise<Response>;
      };
      const files = ["--destination", "ssl/etcd", "--prometheus", "host.prom"];
      const command = ["-l", level, ...json, ...host, ...files];
      const run = await runTraced(world, "status", command, elsewhere, situation.inject);
      stage.listener.spoil = undefined;
      expect({ level, json, found: findings(world, stage, run) }).toEqual({ level, json, found: [] });
      if (answer !== undefined) expect(spoiled).toBeGreaterThan(0);
      expect(run.code).toBe(situation.isFault ? (situation.onHosts === true ? 73 : 1) : 0);
      expect([existsSync(join(world.path, "host.prom")), run.stdout !== ""]).toEqual([
        situation.onHosts !== true,
        // With --json, a failure is output as well.
        json.length > 0 || (situation.onHosts !== true && level !== "0"),
      ]);
    }
  });

  test("of a waiting init token or an unknown token", async () => {
    using world = createWorld(stage);
    putSecret(world, "vault/init-token", await stage.server.initToken("worker"));
    for (const token of [undefined, "hvs.CANARY-that-nobody-knows"]) {
      if (token !== undefined) putSecret(world, "vault/token", token);
      const run = await runTraced(world, "status", ["-l", "2", "--json", "--config-path", "vault"]);
      expect([run.code, run.stdout.includes("init token waiting")]).toEqual([2, true]);
      expect(findings(world, stage, run)).toEqual([]);
    }
  });
});

describe("renew-token leaves no secret", () => {
  test.each(["token", "init-token"])("of a %s that everybody can read", async (name) => {
    using world = createWorld(stage);
    const { initToken, hostToken } = stage.server;
    putSecret(
      world,
      `vault/${name}`,
      await (name === "token" ? hostToken("worker") : initToken("worker")),
      0o644,
    );
    const run = await runTraced(world, "renew-token", ["-l", "2", "--config-path", "vault"]);
    expect(run.stderr).toContain("was readable by others; its mode is 0600 now");
    expect(run.code).toBe(0);
    expect(findings(world, stage, run)).toEqual([]);
  });

  test("of a renewed token or an unknown token", async () => {
    for (const [token, code] of [
      [await stage.server.hostToken("worker"), 0],
      ["hvs.CANARY-that-nobody-knows", 77],
    ] as const) {
      using world = createWorld(stage);
      putSecret(world, "vault/token", token);
      const run = await runTraced(world, "renew-token", ["-l", "2", "--config-path", "vault"]);
      expect(run.code).toBe(code);
      expect(findings(world, stage, run)).toEqual([]);
    }
  });
});

test("write-roles leaves no trace of the secrets that it makes", async () => {
  using world = createWorld(stage);
  const id = `c${randomHex(5)}`;
  const env = { ...admin() };
  expect((await runTraced(world, "setup-mounts", [id], env)).code).toBe(0);
  const chosen = `canary-${randomHex(16)}`;
  const run = await runTraced(world, "write-roles", ["-l", "2", "--init-token-worker", chosen, id], env);
  expect(run.code).toBe(0);
  const { admin: client } = stage.server;
  const made = [
    String((await readSecret(client, `${id}/secrets/service-accounts`))?.key),
    String((await readSecret(client, `${id}/secrets/encryption-config`))?.content).replace(
      /^.*secret: (\S+).*$/s,
      "$1",
    ),
    ...(await Promise.all(
      ["etcd", "master", "worker", "all"].map(async (role) =>
        String((await readSecret(client, `${id}/secrets/init_token_${role}`))?.init_token),
      ),
    )),
  ].flatMap(pieces);
  expect(made.length).toBeGreaterThan(30);
  expect(made).toContain(chosen);
  // The listener knows which secrets to look for.
  expect(made.filter((secret) => !stage.listener.secrets.has(secret))).toEqual([]);
  expect(findings(world, stage, run)).toEqual([]);
});

test.each([
  ["1", "for a person"],
  ["2", "for a person"],
  ["2", "--json"],
])("dev-server leaves no secret at level %s, %s, except in the tokens' file", async (level, form) => {
  using world = createWorld(stage);
  const binary = await resolveServerBinary();
  const file = join(world.path, "tokens.env");
  const free = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  free.stop(true);
  const json = form === "--json" ? [form] : [];
  const args = ["--tokens-file", file, "-t", String(free.port), "-l", level, ...json, "demo"];
  const variable = binary.kind === "bao" ? "BAO_BINARY" : "VAULT_BINARY";
  const child = Bun.spawn([await scriptPath("dev-server"), ...args], {
    env: { PATH: process.env.PATH ?? "", ...world.env, [variable]: binary.path },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const told = () => (existsSync(file) ? [...readFileSync(file, "utf8").matchAll(/TOKEN\w*='(.+)'\n/g)] : []);
  await until(() => told().length === 5);
  const secrets = told().map(([, secret = ""]) => secret);
  child.kill("SIGTERM");
  expect(await child.exited).toBe(0);
  const said = (await child.stdout.text()) + (await child.stderr.text());
  expect(said).toContain("tokens.env");
  expect(secrets.filter((secret) => secret.length < 10 || said.includes(secret))).toEqual([]);
});

test("a child gets neither secrets nor the environment", async () => {
  using world = createWorld(stage);
  const run = await runTraced(
    world,
    "issue-cert",
    ["--owner", "no-such-user", "demo/pki/etcd-k8s/sign/server", "etcd-1", "ssl/etcd"],
    admin(),
  );
  expect(run.code).toBe(64);
  const started = run.children.filter((line) => line.endsWith(" = 0"));
  expect(started.length).toBe(1);
  expect(started[0]).toMatch(
    /execve\("[^"]*\/getent", \["getent", "passwd", "no-such-user"\], \["PATH=\/usr\/sbin:\/usr\/bin:\/sbin:\/bin"\]\)/,
  );
  expect(findings(world, stage, run)).toEqual([]);
});
