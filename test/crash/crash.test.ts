import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { hostScenarios } from "./host-scenarios.ts";
import { setupScenarios } from "./setup-scenarios.ts";
import type { Call } from "./strace.ts";
import { callsOf, failAt, killAt, type Stage, setStage, writeErrors, writingCalls } from "./sweep.ts";

// A sample, to keep it short: `npm run test:crash` tries every point.
const killSample = 12;

let stage: Stage;
beforeAll(async () => {
  stage = await setStage();
});
afterAll(() => stage[Symbol.asyncDispose]());

/** Every so many, the last one too. */
function sample<T>(all: readonly T[], count: number): T[] {
  const step = Math.max(1, all.length / count);
  return all.filter((_, i) => Math.floor(i / step) !== Math.floor((i - 1) / step) || i === all.length - 1);
}

describe.each(hostScenarios.map((scenario) => [scenario.name, scenario] as const))("%s", (_, scenario) => {
  let calls: readonly Call[];
  beforeAll(async () => {
    calls = (await callsOf(stage, scenario)).calls;
  });

  test("killed at a call, keeps the old or has the new, and is done by the next run", async () => {
    expect(calls.length).toBeGreaterThan(10);
    const findings = [];
    for (const call of sample(calls, killSample)) findings.push(await killAt(stage, scenario, call));
    expect(findings.filter((it) => it !== undefined)).toEqual([]);
  });

  // A renewal writes no file.
  if (scenario.name === "token renewal") return;
  test("refused a write, says so with the path and 73, and keeps the old", async () => {
    const findings = [];
    const writing = sample(writingCalls(calls), writeErrors.length);
    expect(writing.length).toBeGreaterThan(1);
    for (const [i, call] of writing.entries()) {
      findings.push(await failAt(stage, scenario, call, writeErrors[i % writeErrors.length] ?? "EIO"));
    }
    expect(findings.filter((it) => it !== undefined)).toEqual([]);
  });
});

describe.each(setupScenarios.map((scenario) => [scenario.name, scenario] as const))("%s", (_, scenario) => {
  test("killed at a call, is done by the next run", async () => {
    const { calls } = await callsOf(stage, scenario);
    const findings = [];
    for (const call of sample(calls, killSample)) findings.push(await killAt(stage, scenario, call));
    expect(findings.filter((it) => it !== undefined)).toEqual([]);
  });
});
