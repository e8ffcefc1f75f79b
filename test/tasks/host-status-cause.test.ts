import { expect, test } from "bun:test";
import { isCauseGone, type KnownOfHost } from "../../lib/tasks/host-status-cause.ts";

const ok = { state: "ok", reasons: [] } as const;
const nothing: KnownOfHost = {
  ...{ server: ok, token: ok },
  ...{ certificates: [], manifests: [], loaded: [], sandbox: [], hooks: [], config: [], permission: [] },
  ...{ configPath: "/nonexistent", configDir: "/nonexistent" },
  failureKindOf: () => undefined,
};

test.each([
  ["cert-hooks.service", [], true],
  ["cert-hooks.service", ["b"], false],
  ["cert-hooks@a.service", ["b"], true],
  ["cert-hooks@a.service", ["b", "a"], false],
  ["hooks-again@cert-hooks@a.service", ["b"], true],
  ["hooks-again@cert-hooks@a.service", ["a"], false],
  ["hooks-again@cert-hooks.service", ["b"], false],
])("the cause of a failed %s, with a hook of %j pending, is gone: %p", (id, manifests, expected) => {
  const hooks = manifests.length === 0 ? [] : [{ manifests }];
  const run = { unit: { id, properties: {}, commands: [] }, at: undefined, exitCode: 75 };
  expect(isCauseGone(run, { ...nothing, hooks })).toBe(expected);
});
