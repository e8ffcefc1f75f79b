import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { type LockedThing, takeHostLock } from "../../lib/host/host-lock.ts";
import { type ClusterServer, startCluster } from "../support/cluster-server.ts";
import { type Host, startHost } from "../support/host.ts";
import { scriptPath } from "../support/script.ts";
import { snippet } from "../support/snippet.ts";
import { treeOf } from "../support/tree.ts";
import { isRunning, until } from "../support/wait.ts";

// A run that finds another run at work on the same files.

let cluster: ClusterServer;
beforeAll(async () => {
  cluster = await startCluster();
  // Built before the time is measured.
  await scriptPath("renew-token");
});
afterAll(() => cluster[Symbol.asyncDispose]());

interface Job {
  readonly script: string;
  readonly args: (host: Host) => readonly string[];
  readonly locks: (host: Host) => LockedThing;
  /** Requests before the wait. */
  readonly before: number;
  readonly does: string;
  /** Standard error if it succeeds. */
  readonly says: RegExp;
}

const exchange: Job = {
  script: "renew-token",
  args: () => [],
  locks: ({ config }) => ({ kind: "token", folder: config, base: "token", name: join(config, "token") }),
  before: 0,
  does: "init token exchanged",
  says: /^renew-token: the init token was exchanged for a host token, accessor \w+\n$/,
};
const issue: Job = {
  script: "issue-cert",
  args: ({ destination }) => ["demo/pki/k8s/sign/kubelet", "kubelet", destination],
  locks: ({ path, destination }) => ({
    kind: "set",
    folder: join(path, "ssl"),
    base: "kubelet",
    name: destination,
  }),
  before: 1,
  does: "kubelet.pem issued",
  says: /^$/,
};

async function hostFor(job: Job): Promise<Host> {
  const host = startHost(cluster.address);
  if (job === exchange) host.put("init-token", await cluster.initToken("worker"));
  else host.put("token", await cluster.hostToken("worker"));
  mkdirSync(join(host.path, "ssl/.kubelet.set"), { recursive: true });
  return host;
}

async function expectWaiting({ relay }: Host, { before }: Job): Promise<void> {
  await until(() => relay.passed.length >= before);
  await Bun.sleep(500);
  expect(relay.passed).toHaveLength(before);
}

const hold = (thing: LockedThing) => takeHostLock(thing, { signal: AbortSignal.timeout(1000) });

describe.concurrent.each([
  ["renew-token", exchange],
  ["issue-cert", issue],
] as const)("%s, while another run holds its files,", (_, job) => {
  test("says after two seconds what it waits for, and ends with 75 at its time limit", async () => {
    await using host = await hostFor(job);
    // Held by another process: this one would lose a POSIX lock when it reads the file below.
    using _ = await startHolder(job.locks(host));
    const before = treeOf(host.path);
    const command = [await scriptPath(job.script), "--config-path", host.config, "--timeout", "4s"];
    const began = performance.now();
    const env = { PATH: process.env.PATH ?? "", ...host.env };
    const child = Bun.spawn([...command, ...job.args(host)], { env, stdin: "ignore", stderr: "pipe" });
    const said: Array<readonly [words: string, seconds: number]> = [];
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      said.push([text, (performance.now() - began) / 1000]);
    }
    const { name } = job.locks(host);
    expect(said.map(([words]) => words)).toEqual([
      `${job.script}: waiting for another run that holds ${name}\n`,
      `${job.script}: another run held ${name} until this one ended (the time limit of 4 s is over)\n`,
    ]);
    const [[, told = 0] = [], [, ended = 0] = []] = said;
    expect(told).toBeGreaterThanOrEqual(2);
    expect(ended).toBeGreaterThanOrEqual(4);
    expect(await child.exited).toBe(75);
    expect(host.relay.passed).toHaveLength(job.before);
    expect(treeOf(host.path)).toEqual(before);
  });

  test("does its job when the other run ends", async () => {
    await using host = await hostFor(job);
    const lock = await hold(job.locks(host));
    const waiting = host.run(job.script, job.args(host));
    await expectWaiting(host, job);
    lock[Symbol.dispose]();
    expect(await waiting).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(job.does),
      stderr: expect.stringMatching(job.says),
    });
  });

  test("does its job when the other run is killed", async () => {
    await using host = await hostFor(job);
    using holder = await startHolder(job.locks(host));
    const waiting = host.run(job.script, job.args(host));
    await expectWaiting(host, job);
    holder.kill();
    expect(await waiting).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(job.does),
      stderr: expect.stringMatching(job.says),
    });
  });

  test("does its job when the other run is killed, even if its child goes on", async () => {
    await using host = await hostFor(job);
    using holder = await startHolder(job.locks(host));
    const ofOurs = expect.stringMatching(/^\/run\/vault-helper\/.*\.lock$/);
    expect(openFiles(holder.pid)).toContainEqual(ofOurs);
    expect(openFiles(holder.child)).not.toContainEqual(ofOurs);
    holder.kill();
    await until(() => !isRunning(holder.pid));
    expect(isRunning(holder.child)).toBe(true);
    const ran = await host.run(job.script, ["--timeout", "5s", ...job.args(host)]);
    expect(ran).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(job.does),
      stderr: expect.stringMatching(job.says),
    });
  });
});

/** A process that holds a lock until it is killed. Its child goes on. */
async function startHolder(thing: LockedThing) {
  const code = `
    const lock = await takeHostLock(${JSON.stringify(thing)}, { signal: AbortSignal.timeout(5000) });
    const child = Bun.spawn(["sleep", "60"], { stdio: ["ignore", "ignore", "ignore"] });
    console.log(child.pid);
    await Bun.sleep(60_000);
    lock[Symbol.dispose]();`;
  const holder = Bun.spawn(snippet("{ takeHostLock }", "host/host-lock.ts", code), { stdout: "pipe" });
  const { value } = await holder.stdout.pipeThrough(new TextDecoderStream()).getReader().read();
  const child = Number(value);
  return {
    pid: holder.pid,
    child,
    kill: () => holder.kill("SIGKILL"),
    [Symbol.dispose]() {
      holder.kill("SIGKILL");
      process.kill(child, "SIGKILL");
    },
  };
}

function openFiles(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).flatMap((name) => {
    try {
      return [readlinkSync(join(folder, name))];
    } catch {
      return []; // closed meanwhile
    }
  });
}
