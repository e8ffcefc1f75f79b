import { existsSync } from "node:fs";
import { calendarDate } from "../calendar.ts";
import type { Finding } from "../finding.ts";

/** A timer with the service that it starts, or such a service by itself. */
export interface UnitStatus extends Finding {
  /** `cert.timer` */
  readonly unit: string;
  readonly lastRunAt: Date | undefined;
  readonly nextRunAt: Date | undefined;
  /** Of the last run since the boot; undefined where there was none. */
  readonly exitCode: number | undefined;
}

const timers = ["token-renewal.timer", "cert.timer", "cert@*.timer"];
const services = ["token-renewal.service", "cert.service", "cert@*.service"];
const hooks = ["cert-hooks.service", "cert-hooks@*.service", "hooks-again@*.service"];
const properties = [
  ...["Id", "LoadState", "UnitFileState", "ActiveState", "Result", "Job"],
  ...["ExecMainStatus", "ExecMainExitTimestamp", "LastTriggerUSec", "NextElapseUSecRealtime"],
];

/** How this host's timers stand, by systemd; none where it does not run, or does not answer. */
export async function unitStatuses(): Promise<readonly UnitStatus[]> {
  // What sd_booted(3) looks at.
  if (!existsSync("/run/systemd/system")) return [];
  return readUnitStatuses(await systemctlShow([...timers, ...services, ...hooks]));
}

/** Empty where it is not there, or fails. */
async function systemctlShow(units: readonly string[]): Promise<string> {
  const { execFile } = await import("node:child_process");
  return await new Promise((resolve) => {
    execFile(
      "systemctl",
      ["show", `--property=${properties.join(",")}`, "--", ...units],
      {
        // Times in one zone, whatever the host's is called.
        env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C", TZ: "UTC" },
        timeout: 5000,
        // One that hangs may not heed anything else.
        killSignal: "SIGKILL",
      },
      (error, stdout) => resolve(error === null ? stdout : ""),
    );
  });
}

type Properties = Readonly<Record<string, string>>;

/**
 * Reads what `systemctl show` prints: a block of lines `Name=value` for each unit. Units that the host does not have
 * are left out, and so are services of hooks that have not failed.
 */
export function readUnitStatuses(text: string): readonly UnitStatus[] {
  const units = text
    .split("\n\n")
    .map((block): Properties => Object.fromEntries(block.split("\n").map(nameAndValue)))
    .filter(({ Id, LoadState = "" }) => Id !== undefined && !["not-found", "masked"].includes(LoadState));
  const byId = new Map(units.map((unit) => [unit.Id ?? "", unit]));
  const found = units.flatMap((unit) => {
    const id = unit.Id ?? "";
    if (id.endsWith(".timer")) return [timerStatus(id, unit, byId.get(id.replace(/timer$/, "service")))];
    // One with a timer is told with it.
    if (byId.has(id.replace(/service$/, "timer"))) return [];
    const status = serviceStatus(id, unit);
    return status.state === "ok" && /^(cert-hooks|hooks-again)/.test(id) ? [] : [status];
  });
  return found.toSorted((a, b) => (a.unit < b.unit ? -1 : 1));
}

function nameAndValue(line: string): [string, string] {
  const end = line.indexOf("=");
  return [line.slice(0, end), line.slice(end + 1)];
}

function timerStatus(id: string, timer: Properties, service: Properties | undefined): UnitStatus {
  const ran = service === undefined ? undefined : serviceStatus(id, service);
  const about = {
    unit: id,
    // The later one: a boot starts the service, too, and only the timer's own time outlives the next.
    lastRunAt: latest(timeOf(timer.LastTriggerUSec), ran?.lastRunAt),
    nextRunAt: timeOf(timer.NextElapseUSecRealtime),
    exitCode: ran?.exitCode,
  };
  const isStopped = timer.ActiveState !== "active";
  if (isStopped && isEnabled(timer)) {
    const reasons = ["it is enabled and stopped: nothing is renewed by itself"];
    return { ...about, state: "wrong", reasons, mend: `systemctl start ${id}` };
  }
  const { state = "ok", reasons = [], mend } = ran ?? {};
  const disabled = isStopped ? ["not enabled"] : [];
  return { ...about, state, reasons: [...reasons, ...disabled], ...(mend === undefined ? {} : { mend }) };
}

function isEnabled({ UnitFileState }: Properties): boolean {
  return UnitFileState === "enabled" || UnitFileState === "enabled-runtime";
}

function serviceStatus(id: string, service: Properties): UnitStatus {
  const lastRunAt = timeOf(service.ExecMainExitTimestamp);
  const about = {
    unit: id,
    lastRunAt,
    nextRunAt: undefined,
    exitCode: lastRunAt === undefined ? undefined : Number(service.ExecMainStatus),
  };
  if (service.LoadState !== "loaded") {
    return { ...about, state: "wrong", reasons: [`its file is broken (${service.LoadState})`] };
  }
  if (service.Result === "success") return { ...about, state: "ok", reasons: [] };
  const how = service.Result === "exit-code" ? `exit code ${about.exitCode}` : service.Result;
  // It waits to be started again, by itself or behind the unit that delays it, or has been.
  const isWaiting = Number(service.Job ?? 0) !== 0;
  if (isWaiting || service.ActiveState === "activating" || service.ActiveState === "active") {
    return { ...about, state: "due", reasons: [`its last run failed (${how}), and is tried again`] };
  }
  const mend = `journalctl --unit ${service.Id ?? id}`;
  return { ...about, state: "wrong", reasons: [`its last run failed (${how})`], mend };
}

/** `Tue 2026-11-24 10:15:00 UTC`; undefined for an empty one, and for `n/a`. */
function timeOf(text = ""): Date | undefined {
  const [, day, time] = /^\w{3} (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC$/.exec(text) ?? [];
  return day === undefined ? undefined : calendarDate(`${day}T${time}Z`);
}

function latest(a: Date | undefined, b: Date | undefined): Date | undefined {
  return a !== undefined && b !== undefined ? (a > b ? a : b) : (a ?? b);
}
