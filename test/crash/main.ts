import { api } from "../cluster/api.ts";
import { hostScenarios } from "./host-scenarios.ts";
import { rotationScenarios } from "./rotation-scenarios.ts";
import type { Scenario } from "./scenario.ts";
import { setupScenarios } from "./setup-scenarios.ts";
import {
  callsOf,
  type Finding,
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

// Disturbs each scenario at every one of its calls, and prints the results: `npm run test:crash`. With words, runs only
// the scenarios whose names contain one of them: `npm run test:crash -- teardown`.

interface Row {
  readonly scenario: string;
  readonly killed: number;
  /** Kills during requests. */
  readonly cutOff: number;
  readonly refused: number;
  readonly findings: readonly Finding[];
}

type Try = (stage: Stage) => Promise<Finding | undefined>;

/** @param stages one for each concurrent try */
async function sweep(stages: readonly [Stage, ...Stage[]], scenario: Scenario): Promise<Row> {
  const { calls } = await callsOf(stages[0], scenario);
  const writing = writingCalls(calls);
  const kills = calls.map(
    (call): Try =>
      (stage) =>
        killAt(stage, scenario, call),
  );
  const refusals = writing.flatMap((call) =>
    writeErrors.map(
      (error): Try =>
        (stage) =>
          failAt(stage, scenario, call, error),
    ),
  );
  const moments = scenario.isAdmins === true ? await momentsOf(stages[0], scenario) : [];
  const cuts = moments.map(
    (moment): Try =>
      (stage) =>
        killDuring(stage, scenario, moment),
  );
  const findings = await inParallel([...kills, ...cuts, ...refusals], stages);
  return {
    scenario: scenario.name,
    killed: kills.length,
    cutOff: cuts.length,
    refused: refusals.length,
    findings,
  };
}

async function inParallel(tries: readonly Try[], stages: readonly Stage[]): Promise<Finding[]> {
  const findings: Finding[] = [];
  const queue = tries.values();
  const lane = async (stage: Stage) => {
    for (const attempt of queue) {
      const finding = await attempt(stage);
      if (finding !== undefined) findings.push(finding);
    }
  };
  await Promise.all(stages.map(lane));
  return findings;
}

async function main(): Promise<number> {
  const began = performance.now();
  await using stage = await setStage();
  await using one = await setStage("raft");
  await using other = await setStage("raft");
  let [points, broken] = [0, 0];
  console.log(
    "| scenario | killed at | killed during | refused a write | held |\n| --- | --- | --- | --- | --- |",
  );
  const words = process.argv.slice(2);
  for (const scenario of [...hostScenarios, ...setupScenarios, ...rotationScenarios, ...teardownScenarios]) {
    if (words.length > 0 && !words.some((word) => scenario.name.includes(word))) continue;
    if ((await scenario.isPossible?.(api(one.address, one.rootToken))) === false) continue;
    const stages = scenario.onDisk === true ? ([one, other] as const) : ([stage, stage] as const);
    const { killed, cutOff, refused, findings } = await sweep(stages, scenario);
    const all = killed + cutOff + refused;
    points += all;
    broken += findings.length;
    const row = [scenario.name, killed, cutOff, refused, all - findings.length];
    console.log(`| ${row.join(" | ")} |`);
    for (const { point, sentence } of findings) console.error(`  ${point}: ${sentence}`);
  }
  const seconds = Math.round((performance.now() - began) / 1000);
  console.log(`\n${points} points tried, ${points - broken} held, in ${seconds} s`);
  return broken === 0 ? 0 : 1;
}

// A relay that was stopped during a request may keep the process alive for a while.
process.exit(await main());
