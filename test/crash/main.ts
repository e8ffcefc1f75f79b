import { hostScenarios } from "./host-scenarios.ts";
import type { Scenario } from "./scenario.ts";
import { setupScenarios } from "./setup-scenarios.ts";
import {
  callsOf,
  type Finding,
  failAt,
  killAt,
  type Stage,
  setStage,
  writeErrors,
  writingCalls,
} from "./sweep.ts";

// Disturbs each scenario at every one of its calls, and prints what held: `npm run test:crash`.

interface Row {
  readonly scenario: string;
  readonly killed: number;
  readonly refused: number;
  readonly findings: readonly Finding[];
}

async function sweep(stage: Stage, scenario: Scenario): Promise<Row> {
  const { calls } = await callsOf(stage, scenario);
  const writing = writingCalls(calls);
  const kills = calls.map((call) => () => killAt(stage, scenario, call));
  const refusals = writing.flatMap((call) =>
    writeErrors.map((error) => () => failAt(stage, scenario, call, error)),
  );
  const findings = await inParallel([...kills, ...refusals], 2);
  return { scenario: scenario.name, killed: kills.length, refused: refusals.length, findings };
}

async function inParallel(
  tries: ReadonlyArray<() => Promise<Finding | undefined>>,
  lanes: number,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const queue = tries.values();
  const lane = async () => {
    for (const attempt of queue) {
      const finding = await attempt();
      if (finding !== undefined) findings.push(finding);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return findings;
}

async function main(): Promise<number> {
  const began = performance.now();
  await using stage = await setStage();
  let [points, broken] = [0, 0];
  console.log("| scenario | killed at | refused a write | held |\n| --- | --- | --- | --- |");
  for (const scenario of [...hostScenarios, ...setupScenarios]) {
    const { killed, refused, findings } = await sweep(stage, scenario);
    points += killed + refused;
    broken += findings.length;
    console.log(`| ${scenario.name} | ${killed} | ${refused} | ${killed + refused - findings.length} |`);
    for (const { point, sentence } of findings) console.error(`  ${point}: ${sentence}`);
  }
  const seconds = Math.round((performance.now() - began) / 1000);
  console.log(`\n${points} points tried, ${points - broken} held, in ${seconds} s`);
  return broken === 0 ? 0 : 1;
}

// A relay that was stopped in the middle of a request may hold the process for a while.
process.exit(await main());
