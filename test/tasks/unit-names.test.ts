import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import {
  hooksUnitOf,
  isHooksUnit,
  isOurUnit,
  issuingUnitOf,
  manifestOfHooks,
  ourUnits,
} from "../../lib/tasks/unit-names.ts";

test("the units of this project are ours, apart from those for metrics and delays", () => {
  const names = readdirSync(join(import.meta.dir, "../../units"))
    .filter((name) => /\.(service|timer)$/.test(name))
    .filter((name) => !/^(status-metrics|retry-delay)/.test(name));
  expect(names.map((name) => name.replace("@.", "@*.")).toSorted()).toEqual(ourUnits.toSorted());
  expect(names.filter((name) => !isOurUnit(name.replace("@.", "@web.")))).toEqual([]);
  expect(["nightly.timer", "cert-manager.service", "status-metrics.timer"].filter(isOurUnit)).toEqual([]);
});

test.each([
  ["cert.service", "cert-hooks.service", undefined],
  ["cert@web.service", "cert-hooks@web.service", "web"],
  ["cert@cert-hooks.service", "cert-hooks@cert-hooks.service", "cert-hooks"],
])("%s leaves its hooks to %s", (issuing, hooks, manifest) => {
  expect([hooksUnitOf(issuing), hooksUnitOf(hooks)]).toEqual([hooks, hooks]);
  expect([issuingUnitOf(hooks), issuingUnitOf(issuing)]).toEqual([issuing, issuing]);
  expect([issuing, hooks, `hooks-again@${hooks}`].map(isHooksUnit)).toEqual([false, true, true]);
  expect([hooks, `hooks-again@${hooks}`].map(manifestOfHooks)).toEqual([manifest, manifest]);
});

test("other services run their hooks themselves", () => {
  expect(["nightly.service", "cert-manager.service"].map(hooksUnitOf)).toEqual([
    "nightly.service",
    "cert-manager.service",
  ]);
});
