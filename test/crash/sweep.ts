import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { randomHex } from "../../lib/host/durable.ts";
import { startServer } from "../../lib/server/server.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import { temporaryFolder } from "../support/folder.ts";
import { startRelay } from "../support/relay.ts";
import { runScript, scriptPath } from "../support/script.ts";
import { initToken } from "./host-world.ts";
import type { Scenario, World } from "./scenario.ts";
import { type Call, type TracedRun, trace } from "./strace.ts";

/** A real server with cluster `demo`, for any number of worlds. */
export interface Stage extends AsyncDisposable {
  readonly address: string;
  readonly rootToken: string;
}

export async function setStage(): Promise<Stage> {
  const server = await startServer({ mode: "dev" });
  const env = { VAULT_ADDR: server.address, VAULT_TOKEN: server.rootToken };
  for (const [script, args] of [
    ["setup-mounts", ["demo"]],
    ["write-roles", ["demo", "--init-token-worker", initToken]],
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

/** Plays a scenario in a fresh world, and gives the world back before it goes. */
async function play<T>(
  stage: Stage,
  scenario: Scenario,
  act: (world: World, env: Record<string, string>) => Promise<T>,
): Promise<T> {
  using root = temporaryFolder();
  await using relay = startRelay(stage.address);
  const env = {
    VAULT_ADDR: relay.address,
    VAULT_INIT_ROLE: "demo-worker",
    ...(scenario.isAdmins === true ? { VAULT_TOKEN: stage.rootToken } : {}),
  };
  const folder = join(root.path, "host");
  mkdirSync(folder);
  const world: World = {
    folder,
    relay,
    admin: createVaultClient({ address: stage.address, token: stage.rootToken }),
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
  const command = [await scriptPath(scenario.script), ...scenario.args(world)];
  return await trace(command, {
    env,
    folder: world.folder,
    ...(fault === undefined
      ? {}
      : { fault: { call: fault.call.name, nth: fault.call.nth, what: fault.what } }),
  });
}

/** The calls that an undisturbed run of a scenario makes on its files and on the network. */
export function callsOf(stage: Stage, scenario: Scenario): Promise<TracedRun> {
  return play(stage, scenario, (world, env) => traceScenario(scenario, world, env));
}

/** One finding: where the run was disturbed, and which promise broke. */
export interface Finding {
  readonly point: string;
  readonly sentence: string;
}

/** Kills a run at one call, looks at what stands, runs it again, and looks once more. */
export async function killAt(stage: Stage, scenario: Scenario, call: Call): Promise<Finding | undefined> {
  return await play(stage, scenario, async (world, env) => {
    await traceScenario(scenario, world, env, { call, what: "signal=KILL" });
    return await judge(`killed at ${describe(call)}`, world, scenario);
  });
}

async function judge(point: string, world: World, scenario: Scenario): Promise<Finding | undefined> {
  try {
    scenario.stopped(world);
    await world.run(scenario.script, scenario.args(world));
    await scenario.done(world);
    return undefined;
  } catch (error) {
    return { point, sentence: error instanceof Error ? error.message : String(error) };
  }
}

/** What a disk, a quota or a mount can say to a write, and a system that has no more to give. */
export const writeErrors = ["ENOSPC", "EIO", "EDQUOT", "EROFS", "EACCES", "EMFILE", "EINTR"] as const;

/** Those calls on files that change something, or bring it to the disk. */
export function writingCalls(calls: readonly Call[]): readonly Call[] {
  const names = ["mkdir", "symlink", "rename", "unlink", "write", "fsync", "fchmod", "fchown", "chmod"];
  return calls.filter(
    ({ name, path, line }) =>
      path !== undefined && (names.includes(name) || (name === "openat" && line.includes("O_CREAT"))),
  );
}

/**
 * Makes one call fail, and expects what a person needs: exit code 73, one sentence with the path, files as before;
 * or a success, where the run could do without the call.
 */
export async function failAt(
  stage: Stage,
  scenario: Scenario,
  call: Call,
  error: string,
): Promise<Finding | undefined> {
  return await play(stage, scenario, async (world, env) => {
    const { code, stderr } = await traceScenario(scenario, world, env, { call, what: `error=${error}` });
    const point = `${error} from ${describe(call)}`;
    if (code !== 0 && code !== 73) return { point, sentence: `it ended with ${code}: ${stderr}` };
    if (code === 73 && !stderr.includes(world.folder))
      return { point, sentence: `no path is named: ${stderr}` };
    return await judge(point, world, scenario);
  });
}

function describe({ name, nth, path }: Call): string {
  return `${name} #${nth}${path === undefined ? " (network)" : ` ${path.replace(/^.*\/host/, "")}`}`;
}
