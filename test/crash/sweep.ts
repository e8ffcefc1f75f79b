import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { randomHex } from "../../lib/host/durable.ts";
import { startServer } from "../../lib/server/start-server.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import { api } from "../cluster/api.ts";
import { temporaryFolder } from "../support/folder.ts";
import { isWrite, startRelay } from "../support/relay.ts";
import { runCommand, runScript, scriptPath } from "../support/script.ts";
import { initToken, masterToken } from "./host-world.ts";
import type { Scenario, World } from "./scenario.ts";
import { type Call, type TracedRun, trace } from "./strace.ts";

/** A real server with cluster `demo`. In mode `raft` it can host only one world at a time. */
export interface Stage extends AsyncDisposable {
  readonly address: string;
  readonly rootToken: string;
}

/** @param mode with `raft` it has a disk, is slower, and aborts the requests of a killed run */
export async function setStage(mode: "dev" | "raft" = "dev"): Promise<Stage> {
  const server = await (mode === "dev" ? startServer({ mode }) : startServer({ mode }));
  const env = { VAULT_ADDR: server.address, VAULT_TOKEN: server.rootToken };
  for (const [script, args] of [
    ["setup-mounts", ["demo"]],
    ["write-roles", ["demo", "--init-token-worker", initToken, "--init-token-master", masterToken]],
  ] as const) {
    const { code, stderr } = await runScript(script, args, { env });
    if (code !== 0) throw new Error(`${script}: ${stderr}`);
  }
  return {
    address: server.address,
    rootToken: server.rootToken,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

type Act<T> = (world: World, env: Record<string, string>) => Promise<T>;

const playLimitMs = 60_000;

/**
 * Plays a scenario in a new world.
 *
 * @param point how it is disturbed, for the error when the server no longer answers
 */
async function play<T>(stage: Stage, scenario: Scenario, point: string, act: Act<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const words = `${scenario.name}, ${point}: not done within ${playLimitMs / 1000} s`;
  const timer = setTimeout(() => reject(new Error(words)), playLimitMs);
  try {
    return await Promise.race([playOut(stage, scenario, act), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function playOut<T>(stage: Stage, scenario: Scenario, act: Act<T>): Promise<T> {
  using root = temporaryFolder();
  await using relay = startRelay(stage.address);
  const env =
    scenario.isAdmins === true
      ? { VAULT_ADDR: stage.address, VAULT_TOKEN: stage.rootToken }
      : { VAULT_ADDR: relay.address, VAULT_INIT_ROLE: "demo-worker" };
  const folder = join(root.path, "host");
  mkdirSync(folder);
  const world: World = {
    folder,
    relay,
    admin: createVaultClient({ address: stage.address, token: stage.rootToken }),
    api: api(stage.address, stage.rootToken),
    cluster: `c${randomHex(6)}`,
    async run(script, args) {
      const { code, stderr } = await runScript(script, args, { env });
      if (code !== 0) throw new Error(`${script} ${args.join(" ")} ended with ${code}: ${stderr}`);
    },
  };
  await scenario.prepare(world);
  return await act(world, env);
}

async function traceScenario(
  scenario: Scenario,
  world: World,
  env: Record<string, string>,
  fault?: { call: Call; what: string },
): Promise<TracedRun> {
  return await trace(await commandOf(scenario, world), {
    env,
    folder: world.folder,
    ...(fault === undefined
      ? {}
      : { fault: { call: fault.call.name, nth: fault.call.nth, what: fault.what } }),
  });
}

async function commandOf(scenario: Scenario, world: World): Promise<readonly string[]> {
  const within = scenario.within?.(world) ?? [];
  return [...within, await scriptPath(scenario.script), ...scenario.args(world)];
}

const undisturbed = "undisturbed";

/** The calls on files and the network in an undisturbed run of a scenario. */
export function callsOf(stage: Stage, scenario: Scenario): Promise<TracedRun> {
  return play(stage, scenario, undisturbed, (world, env) => traceScenario(scenario, world, env));
}

/** Where a run was disturbed, and which promise was broken. */
export interface Finding {
  readonly point: string;
  readonly sentence: string;
}

/** Kills a run at one call, checks the result, runs it again, and checks once more. */
export async function killAt(stage: Stage, scenario: Scenario, call: Call): Promise<Finding | undefined> {
  const point = `killed at ${describe(call)}`;
  return await play(stage, scenario, point, async (world, env) => {
    await traceScenario(scenario, world, env, { call, what: "signal=KILL" });
    return await judge(point, world, env, scenario);
  });
}

/** How long a request has been running when the run is killed, in milliseconds. Making a CA takes about 100. */
const servedMs = [1, 10, 100, 200] as const;

/** All moments during requests at which a run is killed, so that nobody receives the answer. */
export async function momentsOf(stage: Stage, scenario: Scenario): Promise<readonly Moment[]> {
  return await play(stage, scenario, undisturbed, async (world, env) => {
    await using relay = startRelay(stage.address);
    await runScript(scenario.script, scenario.args(world), { env: { ...env, VAULT_ADDR: relay.address } });
    return relay.writes().flatMap(({ method, path }, index) => {
      const name = `${method} ${path.replace(world.cluster, "C")}`;
      return servedMs.map((afterMs) => ({ name, nth: index + 1, afterMs }));
    });
  });
}

interface Moment {
  /** The method and path of the request. */
  readonly name: string;
  /** Its number among the requests that may change something. */
  readonly nth: number;
  readonly afterMs: number;
}

/** Kills a run during a request, which the server may then leave half done. */
export async function killDuring(
  stage: Stage,
  scenario: Scenario,
  { name, nth, afterMs }: Moment,
): Promise<Finding | undefined> {
  const point = `killed ${afterMs} ms after ${name}`;
  return await play(stage, scenario, point, async (world, env) => {
    const end = new AbortController();
    let writes = 0;
    await using relay = startRelay(stage.address, async (request, _, pass) => {
      if (!isWrite(request) || ++writes !== nth) return undefined;
      const answer = pass(end.signal).catch(() => {});
      await Bun.sleep(afterMs);
      end.abort();
      await answer;
      return new Response(null, { status: 503 });
    });
    const child = Bun.spawn([await scriptPath(scenario.script), ...scenario.args(world)], {
      env: { ...env, VAULT_ADDR: relay.address },
      stdio: ["ignore", "ignore", "ignore"],
      signal: end.signal,
      killSignal: "SIGKILL",
    });
    await child.exited;
    return await judge(point, world, env, scenario);
  });
}

async function judge(
  point: string,
  world: World,
  env: Record<string, string>,
  scenario: Scenario,
): Promise<Finding | undefined> {
  try {
    await scenario.stopped(world);
    const { code, stderr } = await runCommand(await commandOf(scenario, world), { env });
    if (code !== 0) return { point, sentence: `the next run ended with ${code}: ${stderr}` };
    await scenario.done(world);
    return undefined;
  } catch (error) {
    return { point, sentence: error instanceof Error ? error.message : String(error) };
  }
}

/** Errors of writes: from a disk, a quota or a mount, and when the system runs out of resources. */
export const writeErrors = ["ENOSPC", "EIO", "EDQUOT", "EROFS", "EACCES", "EMFILE", "EINTR"] as const;

/** The calls that change or sync files. */
export function writingCalls(calls: readonly Call[]): readonly Call[] {
  const names = [
    ...["mkdir", "symlink", "rename", "unlink", "write", "pwrite64", "ftruncate", "fsync"],
    ...["fchmod", "fchown", "lchown", "chmod"],
  ];
  return calls.filter(
    ({ name, path, line }) =>
      path !== undefined && (names.includes(name) || (name === "openat" && line.includes("O_CREAT"))),
  );
}

/**
 * Makes one call fail. Expects exit code 73, a message with the path, and unchanged files. A run that succeeds without the
 * call is fine as well.
 */
export async function failAt(
  stage: Stage,
  scenario: Scenario,
  call: Call,
  error: string,
): Promise<Finding | undefined> {
  const point = `${error} from ${describe(call)}`;
  // The call's number comes from an earlier run. In this run another call may have it, for example by network timing.
  for (let left = triesToFail; left > 0; left--) {
    const finding = await tryToFail(stage, scenario, { call, error, point });
    if (finding !== "another call failed") return finding;
  }
  return { point, sentence: `another call failed, ${triesToFail} times` };
}

const triesToFail = 8;

async function tryToFail(
  stage: Stage,
  scenario: Scenario,
  { call, error, point }: { readonly call: Call; readonly error: string; readonly point: string },
): Promise<Finding | "another call failed" | undefined> {
  return await play(stage, scenario, point, async (world, env) => {
    const fault = { call, what: `error=${error}` };
    const { code, stderr, failedByUs } = await traceScenario(scenario, world, env, fault);
    const isMeant = failedByUs.some((it) => stablePath(it) === stablePath(call));
    if (!isMeant || failedByUs.length > 1) return "another call failed";
    if (code !== 0 && code !== 73) return { point, sentence: `it ended with ${code}: ${stderr}` };
    if (code === 73 && !stderr.includes(world.folder))
      return { point, sentence: `no path is named: ${stderr}` };
    return await judge(point, world, env, scenario);
  });
}

/** The file that a call acts on, without random numbers and times in its name, so that runs can be compared. */
function stablePath({ path }: Call): string {
  const chance = /\.tmp-[\da-f]+|\d{8}T\d{6}Z-[\da-f]+/g;
  return path?.replace(/^.*?\/host(?=\/|$)/, "").replaceAll(chance, "…") ?? "elsewhere";
}

function describe({ name, nth, path }: Call): string {
  return `${name} #${nth}${path === undefined ? " (network)" : ` ${path.replace(/^.*\/host/, "")}`}`;
}
