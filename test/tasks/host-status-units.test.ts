import { describe, expect, test } from "bun:test";
import { readUnitStatuses } from "../../lib/tasks/host-status-units.ts";

/** As `systemctl show` of systemd 252 prints it. */
function show(...units: ReadonlyArray<Readonly<Record<string, string>>>): string {
  return units
    .map(
      (unit) =>
        `${Object.entries(unit)
          .map(([name, value]) => `${name}=${value}\n`)
          .join("")}`,
    )
    .join("\n");
}

const timer = {
  LastTriggerUSec: "Tue 2026-11-24 10:15:00 UTC",
  Result: "success",
  Id: "cert.timer",
  LoadState: "loaded",
  ActiveState: "active",
  UnitFileState: "enabled",
  NextElapseUSecRealtime: "Wed 2026-11-25 10:15:00 UTC",
};
const service = {
  Result: "success",
  ExecMainExitTimestamp: "Tue 2026-11-24 10:15:02 UTC",
  ExecMainStatus: "0",
  Id: "cert.service",
  LoadState: "loaded",
  ActiveState: "inactive",
  UnitFileState: "static",
};
const failed = { ...service, Result: "exit-code", ExecMainStatus: "77", ActiveState: "failed" };

describe("readUnitStatuses()", () => {
  test("tells a timer with its service, and when both ran", () => {
    expect(readUnitStatuses(show(timer, service))).toEqual([
      {
        unit: "cert.timer",
        state: "ok",
        reasons: [],
        exitCode: 0,
        lastRunAt: new Date("2026-11-24T10:15:02Z"),
        nextRunAt: new Date("2026-11-25T10:15:00Z"),
      },
    ]);
  });

  test.each([
    ["n/a", undefined],
    ["", undefined],
    ["Tue 2026-11-24 10:15:02 CET", undefined],
  ])("takes %j for no time", (text, expected) => {
    const [found] = readUnitStatuses(show({ ...timer, LastTriggerUSec: text, NextElapseUSecRealtime: text }));
    expect([found?.lastRunAt, found?.nextRunAt]).toEqual([expected, expected]);
  });

  test.each([
    [
      "stopped",
      { ...timer, ActiveState: "inactive" },
      service,
      "wrong",
      ["it is enabled and stopped: nothing is renewed by itself"],
      "systemctl start cert.timer",
    ],
    [
      "not enabled",
      { ...timer, ActiveState: "inactive", UnitFileState: "disabled" },
      service,
      "ok",
      ["not enabled"],
      undefined,
    ],
    [
      "of a failed service",
      timer,
      failed,
      "wrong",
      ["its last run failed (exit code 77)"],
      "journalctl --unit cert.service",
    ],
    [
      "of one that ran too long",
      timer,
      { ...failed, Result: "timeout" },
      "wrong",
      ["its last run failed (timeout)"],
      "journalctl --unit cert.service",
    ],
    [
      "of one that is tried again",
      timer,
      { ...failed, ExecMainStatus: "75", ActiveState: "activating" },
      "due",
      ["its last run failed (exit code 75), and is tried again"],
      undefined,
    ],
    [
      "of one that is tried again when its delay has passed",
      timer,
      { ...failed, ExecMainStatus: "75", ActiveState: "inactive", Job: "13764" },
      "due",
      ["its last run failed (exit code 75), and is tried again"],
      undefined,
    ],
    [
      "of a broken file",
      timer,
      { ...service, LoadState: "bad-setting" },
      "wrong",
      ["its file is broken (bad-setting)"],
      undefined,
    ],
  ])("tells a timer %s", (_, first, second, state, reasons, mend) => {
    const [found, ...others] = readUnitStatuses(show(first, second));
    expect([found?.state, found?.reasons, found?.mend]).toEqual([state, reasons, mend]);
    expect(others).toEqual([]);
  });

  test("leaves out units that are not there, and hooks that are well", () => {
    const hooks = { ...service, Id: "cert-hooks.service" };
    const missing = { Id: "cert.timer", LoadState: "not-found", ActiveState: "inactive" };
    const one = { ...service, Id: "cert@etcd.service" };
    expect(readUnitStatuses(show(missing, hooks, one)).map(({ unit }) => unit)).toEqual([
      "cert@etcd.service",
    ]);
    expect(readUnitStatuses(show({ ...failed, Id: "cert-hooks.service" })).map(({ unit }) => unit)).toEqual([
      "cert-hooks.service",
    ]);
    expect(readUnitStatuses("")).toEqual([]);
  });
});
