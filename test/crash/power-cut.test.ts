import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { basename } from "node:path";
import { hostScenarios } from "./host-scenarios.ts";
import { creationModes, lostByPowerCut } from "./power-cut.ts";
import type { Call } from "./strace.ts";
import { callsOf, type Stage, setStage } from "./sweep.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await setStage();
});
afterAll(() => stage[Symbol.asyncDispose]());

/** The init token may be removed only when the host token is safe. */
function reliedOn(calls: readonly Call[]): ReadonlyMap<string, string> {
  const initToken = calls.find(({ path }) => path?.endsWith("/init-token"))?.path;
  return new Map(initToken === undefined ? [] : [[initToken, initToken.replace(/init-token$/, "token")]]);
}

describe.each(hostScenarios.map((scenario) => [scenario.name, scenario] as const))("%s", (_, scenario) => {
  test("loses nothing in a power cut, and makes no file wider than 0600", async () => {
    const { code, calls, stderr } = await callsOf(stage, scenario);
    const exchanged = "renew-token: the init token was exchanged for a host token, accessor ";
    expect(stderr).toStartWith(scenario.name === "first token" ? exchanged : "");
    expect(code).toBe(0);
    expect(lostByPowerCut(calls, reliedOn(calls))).toEqual([]);
    const modes = creationModes(calls);
    expect(modes.filter(([, mode]) => (mode & 0o077) !== 0)).toEqual([]);
    const writes = !["token renewal", "hooks left by a run before"].includes(scenario.name);
    expect(modes.length > 0).toBe(writes);
  });
});

test.each([
  // The init token may be removed later.
  ["first token", ["vault"]],
  // For three links in one folder, the last sync is enough.
  ["first certificate, EC", ["ssl", "ssl"]],
  ["renewal, key kept", []],
  ["plain files, new key", ["ssl", "ssl"]],
])("lostByPowerCut() notices every missing fsync in %s, except %p", async (name, spare) => {
  const scenario = hostScenarios.find((it) => it.name === name);
  if (scenario === undefined) throw new Error(`there is no scenario ${name}`);
  const { calls } = await callsOf(stage, scenario);
  const relied = reliedOn(calls);
  const syncs = calls.filter((call) => call.name === "fsync");
  expect(syncs.length).toBeGreaterThan(spare.length);
  const unneeded = syncs.filter(
    (sync) =>
      lostByPowerCut(
        calls.filter((it) => it !== sync),
        relied,
      ).length === 0,
  );
  expect(unneeded.map(({ path }) => basename(path ?? ""))).toEqual(spare);
});
