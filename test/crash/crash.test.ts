import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { api } from "../cluster/api.ts";
import { hostScenarios } from "./host-scenarios.ts";
import { rotationScenarios } from "./rotation-scenarios.ts";
import type { Scenario } from "./scenario.ts";
import { setupScenarios } from "./setup-scenarios.ts";
import type { Call } from "./strace.ts";
import {
  callsOf,
  failAt,
  killAt,
  killDuring,
  momentsOf,
  type Stage,
  setStage,
  writeErrors,
  writingCalls,
} from "./sweep.ts";
import { teardownScenarios } from "./teardown-scenario.ts";

// Only a sample, to save time. `npm run test:crash` tries every point.
const killSample = 12;
/** Of rotations, which have much in common. */
const rotationSample = 3;

const stage = await setStage();
/** For one scenario at a time, with data on disk. */
const ownStage = await setStage("raft");
afterAll(async () => {
  await stage[Symbol.asyncDispose]();
  await ownStage[Symbol.asyncDispose]();
});

/** An even sample that includes the last item. */
function sample<T>(all: readonly T[], count: number): T[] {
  const step = Math.max(1, all.length / count);
  return all.filter((_, i) => Math.floor(i / step) !== Math.floor((i - 1) / step) || i === all.length - 1);
}

describe.each(hostScenarios.map((scenario) => [scenario.name, scenario] as const))("%s", (_, scenario) => {
  let calls: readonly Call[];
  beforeAll(async () => {
    calls = (await callsOf(stage, scenario)).calls;
  });

  test("killed at a call, leaves the old files or the new ones, and the next run completes it", async () => {
    expect(calls.length).toBeGreaterThan(10);
    const findings = [];
    for (const call of sample(calls, killSample)) findings.push(await killAt(stage, scenario, call));
    expect(findings.filter((it) => it !== undefined)).toEqual([]);
  });

  // A renewal writes no files.
  if (scenario.name === "token renewal") return;
  test("with a failing write, names the path, ends with 73 and keeps the old files", async () => {
    const findings = [];
    const writing = sample(writingCalls(calls), writeErrors.length);
    expect(writing.length).toBeGreaterThan(1);
    for (const [i, call] of writing.entries()) {
      findings.push(await failAt(stage, scenario, call, writeErrors[i % writeErrors.length] ?? "EIO"));
    }
    expect(findings.filter((it) => it !== undefined)).toEqual([]);
  });
});

for (const scenario of [...setupScenarios, ...rotationScenarios, ...teardownScenarios]) {
  const its = () => (scenario.onDisk === true ? ownStage : stage);
  const isPossible = await scenario.isPossible?.(api(its().address, its().rootToken));
  describe.skipIf(isPossible === false)(scenario.name, () => testAdmins(scenario, its));
}

/** Requests that a server with a disk leaves half done if it gives them up. */
const halfDone = ["DELETE sys/mounts/C/pki/k8s", "POST C/pki/k8s/root/rotate/internal"];

function testAdmins(scenario: Scenario, its: () => Stage): void {
  const count = scenario.script === "rotate-ca" ? rotationSample : killSample;

  test("killed at a call, is completed by the next run", async () => {
    const { calls } = await callsOf(its(), scenario);
    const findings = [];
    for (const call of sample(calls, count)) findings.push(await killAt(its(), scenario, call));
    expect(findings.filter((it) => it !== undefined)).toEqual([]);
  }, 180_000);

  test("killed during a request, which the server then gives up, is completed by the next run", async () => {
    const moments = await momentsOf(its(), scenario);
    const telling = moments.filter(({ name }) => scenario.onDisk === true && halfDone.includes(name));
    expect(telling.length > 0).toBe(scenario.onDisk === true && scenario.script !== "setup-mounts");
    const findings = [];
    for (const moment of [...telling, ...sample(moments, count)])
      findings.push(await killDuring(its(), scenario, moment));
    expect(findings.filter((it) => it !== undefined)).toEqual([]);
  }, 180_000);
}
