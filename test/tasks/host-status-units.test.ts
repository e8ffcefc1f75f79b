import { describe, expect, test } from "bun:test";
import { actionText } from "../../lib/cli/action.ts";
import type { Manifest } from "../../lib/manifest/manifest.ts";
import { parseManifest } from "../../lib/manifest/manifest.ts";
import { type UnitsContext, unitStatuses } from "../../lib/tasks/host-status-units.ts";
import { readUnits } from "../../lib/tasks/host-units.ts";

type Shown = ReadonlyArray<Readonly<Record<string, string>>>;

/** A unit as `systemctl show` of systemd 252 prints it. */
function show(...units: Shown): string {
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
  Unit: "cert.service",
  LastTriggerUSec: "Tue 2026-11-24 10:15:00 UTC",
  Result: "success",
  Id: "cert.timer",
  LoadState: "loaded",
  ActiveState: "active",
  UnitFileState: "enabled",
  NextElapseUSecRealtime: "Wed 2026-11-25 10:15:00 UTC",
};
const service = {
  ExecStart: exec("/usr/bin/issue-cert --config-dir /etc/vault/certs.d --hooks later --timeout 60s"),
  Result: "success",
  ExecMainExitTimestamp: "Tue 2026-11-24 10:15:02 UTC",
  ExecMainStatus: "0",
  Id: "cert.service",
  LoadState: "loaded",
  ActiveState: "inactive",
  UnitFileState: "static",
};

function exec(command: string): string {
  return `{ path=${command.split(" ")[0]} ; argv[]=${command} ; ignore_errors=no ; start_time=[n/a] ; pid=0 }`;
}

function manifestOf(name: string, folder = "/etc/vault/certs.d"): Manifest {
  const text = `sign_path = "demo/pki/k8s/sign/kubelet"\ncommon_name = "${name}"\ndestination = "/srv/${name}"\n`;
  return parseManifest(text, `${folder}/${name}.toml`, { hostName: "a", ipv4: undefined, ipv6: undefined });
}

function judge(text: string, context: Partial<UnitsContext> = {}) {
  const nothing = {
    manifests: [],
    isCauseGone: () => false,
    fixOf: () => undefined,
    isInCrontab: () => false,
  };
  return unitStatuses(readUnits(text), { ...nothing, ...context });
}

function statuses(...all: Shown) {
  return judge(show(...all)).units;
}

const failed = { ...service, Result: "exit-code", ExecMainStatus: "77", ActiveState: "failed" };

describe("unitStatuses()", () => {
  test("reports a timer with its service, and when both ran", () => {
    expect(statuses(timer, service)).toEqual([
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
  ])("reads %j as no time", (text, expected) => {
    const [found] = statuses({ ...timer, LastTriggerUSec: text, NextElapseUSecRealtime: text });
    expect([found?.lastRunAt, found?.nextRunAt]).toEqual([expected, expected]);
  });

  test.each([
    [
      "stopped",
      { ...timer, ActiveState: "inactive" },
      service,
      "wrong",
      ["it is enabled but stopped: nothing is renewed automatically"],
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
      "of a service that ran too long",
      timer,
      { ...failed, Result: "timeout" },
      "wrong",
      ["its last run failed (timeout)"],
      "journalctl --unit cert.service",
    ],
    [
      "of a service that will be tried again",
      timer,
      { ...failed, ExecMainStatus: "75", ActiveState: "activating" },
      "due",
      ["its last run failed (exit code 75), and will be tried again"],
      undefined,
    ],
    [
      "of a service that waits for its retry",
      timer,
      { ...failed, ExecMainStatus: "75", ActiveState: "inactive", Job: "13764" },
      "due",
      ["its last run failed (exit code 75), and will be tried again"],
      undefined,
    ],
    [
      "with a broken file",
      timer,
      { ...service, LoadState: "bad-setting" },
      "wrong",
      ["its file is broken (bad-setting)"],
      undefined,
    ],
  ])("reports a timer %s", (_, first, second, state, reasons, fix) => {
    const [found, ...others] = statuses(first, second);
    expect([found?.state, found?.reasons, found?.fix && actionText(found.fix)]).toEqual([
      state,
      reasons,
      fix,
    ]);
    expect(others).toEqual([]);
  });

  test("leaves out units that are not installed, and hooks that have not failed", () => {
    const hooks = { ...service, Id: "cert-hooks.service" };
    const missing = { Id: "cert.timer", LoadState: "not-found", ActiveState: "inactive" };
    const one = { ...service, Id: "cert@etcd.service" };
    expect(statuses(missing, hooks, one).map(({ unit }) => unit)).toEqual(["cert@etcd.service"]);
    expect(statuses({ ...failed, Id: "cert-hooks.service" }).map(({ unit }) => unit)).toEqual([
      "cert-hooks.service",
    ]);
    expect(statuses()).toEqual([]);
  });
});

const renewal = { ...timer, Id: "token-renewal.timer", Unit: "token-renewal.service" };
const renewalService = {
  ...service,
  Id: "token-renewal.service",
  ExecStart: exec("/usr/bin/renew-token --timeout 60s"),
};
const off = { ActiveState: "inactive", UnitFileState: "disabled" };
const etcdTimer = { ...timer, Id: "cert@etcd.timer", Unit: "cert@etcd.service" };
const etcdService = {
  ...service,
  Id: "cert@etcd.service",
  ExecStart: exec("/usr/bin/issue-cert --config /etc/vault/certs.d/etcd.toml --hooks later --timeout 60s"),
};
const missing = { LoadState: "not-found", ActiveState: "inactive" };
const masked = { LoadState: "masked", ActiveState: "inactive", UnitFileState: "masked" };
const enable = "systemctl enable --now";

describe("a manifest that no enabled timer runs is wrong", () => {
  const manifests = [manifestOf("etcd"), manifestOf("peer")];
  const run = (command: string) => ({ ...service, ExecStart: exec(command) });

  test.each<[string, Shown, readonly string[]]>([
    [
      "both timers disabled",
      [{ ...timer, ...off }, service, { ...renewal, ...off }, renewalService],
      [
        `cert.timer: it is not enabled: nothing renews etcd, peer: ${enable} cert.timer`,
        `token-renewal.timer: it is not enabled: nothing renews the token: ${enable} token-renewal.timer`,
      ],
    ],
    [
      "only the token's timer enabled",
      [{ ...timer, ...off }, service, renewal, renewalService],
      [`cert.timer: it is not enabled: nothing renews etcd, peer: ${enable} cert.timer`],
    ],
    [
      "one of them run by its own timer",
      [{ ...timer, ...off }, service, etcdTimer, etcdService, { ...renewal, ...off }],
      [`cert.timer: it is not enabled: nothing renews peer: ${enable} cert.timer`],
    ],
    [
      "a timer that was started and not enabled",
      [{ ...timer, UnitFileState: "disabled" }, service],
      [
        `cert.timer: it is not enabled, so it runs only until the next boot: nothing renews etcd, peer: ${enable} cert.timer`,
      ],
    ],
    [
      "a timer that never fires again",
      [{ ...timer, SubState: "elapsed" }, service],
      ["cert.timer: it will not fire again: nothing renews etcd, peer"],
    ],
    [
      "a masked timer",
      [{ ...timer, ...masked }, service],
      [
        `cert.timer: it is masked: nothing renews etcd, peer: systemctl unmask cert.timer && ${enable} cert.timer`,
      ],
    ],
    [
      "a masked service",
      [timer, { ...service, ...masked }],
      ["cert.timer: cert.service is masked: nothing renews etcd, peer: systemctl unmask cert.service"],
    ],
    [
      "no unit of ours",
      [
        { ...timer, ...missing },
        { ...service, ...missing },
      ],
      ["cert.timer: it is not installed: nothing renews etcd, peer"],
    ],
    [
      "a service that issues something else, and instances that could",
      [
        timer,
        run("/opt/bin/vault-helper cert demo/pki/etcd-k8s/sign/server etcd-1 /etc/etcd/ssl/etcd"),
        { ...etcdTimer, ...off },
        etcdService,
      ],
      [
        `cert@etcd.timer: it is not enabled: nothing renews etcd: ${enable} cert@etcd.timer`,
        "manifest: no timer renews peer",
      ],
    ],
    [
      "a service of other manifests",
      [timer, run("/usr/bin/issue-cert --config-dir=/srv/certs.d")],
      ["manifest: no timer renews etcd, peer"],
    ],
    [
      "a timer that only runs hooks",
      [timer, run("/usr/bin/issue-cert --config-dir /etc/vault/certs.d --hooks only")],
      ["manifest: no timer renews etcd, peer"],
    ],
  ])("with %s", (_, units, expected) => {
    const found = judge(show(...units), { manifests });
    const wrong = [
      ...found.units,
      ...found.unrun.map((finding) => ({ unit: "manifest", ...finding })),
    ].filter(({ state }) => state === "wrong");
    expect(
      wrong.map(({ unit, reasons, fix }) => [unit, ...reasons, ...(fix ? [actionText(fix)] : [])].join(": ")),
    ).toEqual([...expected]);
  });

  test.each<[string, Shown, Readonly<Record<string, string>>]>([
    ["cert.timer", [timer, service, { ...renewal, ...off }], { etcd: "cert.timer", peer: "cert.timer" }],
    [
      "a timer that the image enables",
      [{ ...timer, UnitFileState: "static", WantedBy: "timers.target" }, service],
      { etcd: "cert.timer", peer: "cert.timer" },
    ],
    [
      "the host's own timer, with a folder that ends with a slash",
      [
        { ...timer, Id: "mine.timer", Unit: "nightly.service" },
        {
          ...service,
          Id: "nightly.service",
          ExecStart: exec("/bin/sh -c issue-cert --config-dir '/etc/vault/certs.d/' && true"),
        },
      ],
      { etcd: "mine.timer", peer: "mine.timer" },
    ],
    [
      "the host's own script in cert.service",
      [timer, run("/usr/local/sbin/renew-all")],
      {
        etcd: "cert.timer",
        peer: "cert.timer",
      },
    ],
  ])("and %s does", (_, units, expected) => {
    const found = judge(show(...units), { manifests });
    expect(found.units.filter(({ state }) => state !== "ok")).toEqual([]);
    expect(found.unrun).toEqual([]);
    expect(Object.fromEntries(found.timers)).toEqual(
      Object.fromEntries(
        Object.entries(expected).map(([name, unit]) => [`/etc/vault/certs.d/${name}.toml`, unit]),
      ),
    );
  });

  test("unless cron does", () => {
    const units = show({ ...timer, ...off }, service, { ...renewal, ...off }, renewalService);
    const found = judge(units, { manifests, isInCrontab: () => true });
    expect(found.units.map(({ unit, state, reasons }) => [unit, state, ...reasons])).toEqual([
      ["cert.timer", "ok", "not enabled"],
      ["token-renewal.timer", "ok", "not enabled"],
    ]);
    expect(found.unrun).toEqual([]);
  });

  test("but a host without manifests needs no timer", () => {
    const units = show({ ...timer, ...off }, service, { ...renewal, ...off }, renewalService);
    expect(judge(units).units.map(({ state }) => state)).toEqual(["ok", "ok"]);
    expect(judge(show({ ...timer, ...missing }, { ...renewal, ...missing })).units).toEqual([]);
  });

  test("and many of them are reported in one line", () => {
    const many = Array.from({ length: 20 }, (_, at) => manifestOf(`n${at}`));
    const [found] = judge(show({ ...timer, ...off }, service), { manifests: many }).units;
    expect(found?.reasons).toEqual(["it is not enabled: nothing renews n0, n1, n2 and 17 more"]);
  });
});

test("a failed service whose cause is fixed should be started", () => {
  const found = judge(show(timer, failed), {
    isCauseGone: ({ unit, exitCode, at }) =>
      unit.id === "cert.service" && exitCode === 77 && at?.toISOString() === "2026-11-24T10:15:02.000Z",
  });
  expect(found.units).toMatchObject([
    {
      unit: "cert.timer",
      state: "wrong",
      reasons: ["its last run failed (exit code 77)", "its cause seems to be fixed"],
      fix: { do: "start", unit: "cert.service" },
    },
  ]);
});
