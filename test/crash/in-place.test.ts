import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { lookupSelf } from "../../lib/vault/token.ts";
import { dropInitToken, initToken, paths, tokenArgs } from "./host-world.ts";
import type { Scenario, World } from "./scenario.ts";
import type { Call, TracedRun } from "./strace.ts";
import { callsOf, failAt, killAt, type Stage, setStage, writingCalls } from "./sweep.ts";
import { promise, promiseNarrow } from "./world.ts";

// As in our units, the folder is read-only, and the two files in it are writable mounts.

let stage: Stage;
beforeAll(async () => {
  stage = await setStage();
});
afterAll(() => stage[Symbol.asyncDispose]());

const script = `
  mount --bind "$1" "$1" && mount --bind "$1/token" "$1/token" && mount --bind "$1/init-token" "$1/init-token" &&
  mount -o remount,bind,ro "$1" || exit 99
  shift; exec "$@"`;

const contents = {
  "an empty token file": "",
  "a token that the server does not know, longer than the next": `hvs.${"x".repeat(300)}\n`,
  "zeros, as a power cut leaves them": "\0".repeat(95),
};

function exchange(name: string, token: string): Scenario {
  const content = (path: string) => readFileSync(path, "utf8");
  const promiseOneToken = async (world: World) => {
    const { token, initToken: init } = paths(world);
    const isHeld = await lookupSelf(world.admin, content(token).trim() || "none").then(
      () => true,
      () => false,
    );
    promise(isHeld || content(init) === `${initToken}\n`, "the host has neither token");
    promiseNarrow(world.folder);
  };
  return {
    name,
    script: "renew-token",
    args: tokenArgs,
    within: (world) => [
      ...["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script, "-"],
      paths(world).config,
    ],
    async prepare(world) {
      dropInitToken(world);
      writeFileSync(paths(world).token, token, { mode: 0o600 });
    },
    stopped: promiseOneToken,
    async done(world) {
      const { config, token, initToken: init } = paths(world);
      const held = content(token);
      promise(/^(hv)?s\.\S+\n+$/.test(held), `the token file holds ${JSON.stringify(held)}`);
      await lookupSelf(world.admin, held.trim());
      promise(statSync(init).size === 0, "the init token was not emptied");
      const made = world.relay.passed.filter(({ path }) => path === "auth/token/create/demo-worker").length;
      promise(made <= 2, `${made} tokens were made`);
      promise(!readdirSync(config).some((name) => name.includes(".tmp-")), "a temporary file is left");
      promiseNarrow(world.folder);
    },
  };
}

const isRoot = process.getuid?.() === 0;
describe.skipIf(!isRoot).each(Object.entries(contents))(
  "a token that is written in place over %s",
  (name, content) => {
    const scenario = exchange(name, content);
    let run: TracedRun;
    let calls: readonly Call[];
    beforeAll(async () => {
      run = await callsOf(stage, scenario);
      // Leave out the calls that make the mounts.
      calls = run.calls.slice(run.calls.findIndex(({ line }) => / execve\(.*renew-token/.test(line)) + 1);
    });

    const at = (name: string, file: string) =>
      calls.findIndex((call) => call.name === name && call.path?.endsWith(`/vault/${file}`) === true);

    test("is synced before the init token is emptied, and the empty init token at the end", () => {
      expect([run.code, run.stdout]).toEqual([0, expect.stringContaining("init token exchanged")]);
      const steps = [
        at("write", "token"),
        at("ftruncate", "token"),
        at("fsync", "token"),
        at("ftruncate", "init-token"),
        at("fsync", "init-token"),
      ];
      expect(steps.every((step) => step >= 0)).toBe(true);
      expect(steps).toEqual(steps.toSorted((a, b) => a - b));
      expect(calls.filter(({ line }) => line.includes("O_TRUNC"))).toEqual([]);
    });

    test("killed at any call on a token file, leaves one of the two tokens, and the next run completes it", async () => {
      const points = calls.filter(({ path }) => path?.endsWith("token"));
      expect(points.length).toBeGreaterThan(10);
      const findings = [];
      for (const call of points) findings.push(await killAt(stage, scenario, call));
      expect(findings.filter((it) => it !== undefined)).toEqual([]);
    }, 300_000);

    test("with a failing write, leaves one of the two tokens, names the path, ends with 73, and the next run completes it", async () => {
      const points = writingCalls(calls).filter(({ failed }) => !failed);
      expect(points.length).toBeGreaterThan(4);
      const findings = [];
      for (const call of points) {
        for (const error of ["ENOSPC", "EIO"]) findings.push(await failAt(stage, scenario, call, error));
      }
      expect(findings.filter((it) => it !== undefined)).toEqual([]);
    }, 300_000);
  },
);
