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

/** Removing the init token relies on the token. */
function reliedOn(calls: readonly Call[]): ReadonlyMap<string, string> {
  const initToken = calls.find(({ path }) => path?.endsWith("/init-token"))?.path;
  return new Map(initToken === undefined ? [] : [[initToken, initToken.replace(/init-token$/, "token")]]);
}

describe.each(hostScenarios.map((scenario) => [scenario.name, scenario] as const))("%s", (_, scenario) => {
  test("loses nothing to a power cut, and makes no file wider than 0600", async () => {
    const { code, calls, stderr } = await callsOf(stage, scenario);
    const trade = "renew-token: the init token was exchanged for a host token, accessor ";
    expect(stderr).toStartWith(scenario.name === "first token" ? trade : "");
    expect(code).toBe(0);
    expect(lostByPowerCut(calls, reliedOn(calls))).toEqual([]);
    const modes = creationModes(calls);
    expect(modes.filter(([, mode]) => (mode & 0o077) !== 0)).toEqual([]);
    const writes = !["token renewal", "hooks left by a run before"].includes(scenario.name);
    expect(modes.length > 0).toBe(writes);
  });
});

test.each([
  // The removal of the init token may come later.
  ["first token", ["vault"]],
  // Of three links in one folder, the last sync is enough.
  ["first certificate, EC", ["ssl", "ssl"]],
  ["renewal, key kept", []],
  ["plain files, new key", ["ssl", "ssl"]],
])("lostByPowerCut() of %s tells of every fsync that is taken out, save %p", async (name, spare) => {
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
