import type { Action } from "../action.ts";
import { calendarDate } from "../calendar.ts";
import type { Finding } from "../finding.ts";
import type { Manifest } from "../manifest/manifest.ts";
import {
  find,
  isAtWork,
  isEnabled,
  isInCrontab,
  isTimer,
  isWaiting,
  loadState,
  runsManifest,
  serviceOf,
  timerOf,
  type Unit,
} from "./host-units.ts";
import { certTimer, instanceTimer, isHooksUnit, isOurUnit, tokenTimer } from "./unit-names.ts";

/** A timer together with its service, or a service without a timer. */
export interface UnitStatus extends Finding {
  /** Such as `cert.timer`; `systemd` if systemctl did not answer, so that units may be missing. */
  readonly unit: string;
  readonly lastRunAt: Date | undefined;
  readonly nextRunAt: Date | undefined;
  /** The exit code of the last run since the boot; undefined if there was none. */
  readonly exitCode: number | undefined;
}

/** The last run of a service, if it failed. */
export interface FailedRun {
  readonly unit: Unit;
  readonly at: Date | undefined;
  /** Undefined if it did not end by itself. */
  readonly exitCode: number | undefined;
}

export interface UnitsContext {
  readonly manifests: readonly Manifest[];
  /** Whether the cause of a failed run seems to be fixed, by all that is known about this host. */
  readonly isCauseGone: (run: FailedRun) => boolean;
  /** The fix for a service's failure if its cause is already known; else undefined. */
  readonly fixOf: (service: Unit) => Action | undefined;
  /** @default looks into cron's own files */
  readonly isInCrontab?: (manifest: Manifest) => boolean;
}

export interface UnitStatuses {
  readonly units: readonly UnitStatus[];
  /** At most one finding, about all manifests that no timer runs and no unit of ours could run. */
  readonly unrun: readonly Finding[];
  /** The timer that runs each manifest, by the manifest's file. */
  readonly timers: ReadonlyMap<string, string>;
}

/**
 * The status of this host's timers. Left out are units that the host does not have, services of hooks that have not
 * failed, and foreign timers.
 */
export function unitStatuses(units: readonly Unit[], context: UnitsContext): UnitStatuses {
  const { manifests, isInCrontab: isByCron = isInCrontab } = context;
  const timers = new Map(
    manifests.flatMap((manifest) => {
      const timer = timerOf(manifest, units);
      return timer === undefined ? [] : [[manifest.file, timer] as const];
    }),
  );
  const idle = manifests.filter((manifest) => !timers.has(manifest.file) && !isByCron(manifest));
  const blamed = Map.groupBy(idle, (manifest) => blamedTimer(manifest, units));
  const isTokenRenewed = units.some((it) => it.id === tokenTimer && isAtWork(it, units));
  const isTokenIdle = idle.length > 0 && idle.length === manifests.length && !isTokenRenewed;
  const present = units.filter((unit) => isOurUnit(unit.id));
  const started = new Set(present.filter((unit) => isTimer(unit) && isPresent(unit)).map(serviceOf));
  const found = present.flatMap((unit): UnitStatus[] => {
    const names = blamed.get(unit.id)?.map(({ name }) => name);
    if (names === undefined && (!isPresent(unit) || isUnused(unit, units))) return [];
    if (isTimer(unit)) {
      const isForToken = unit.id === tokenTimer && isTokenIdle;
      const idleThings = names !== undefined ? listed(names) : isForToken ? "the token" : undefined;
      return [timerStatus(unit, find(units, serviceOf(unit)), idleThings, context)];
    }
    // Its timer's status includes it.
    if (started.has(unit.id)) return [];
    const status = serviceStatus(unit, context);
    return status.state === "ok" && isHooksUnit(unit.id) ? [] : [status];
  });
  const nobodys = blamed.get(undefined)?.map(({ name }) => name) ?? [];
  return {
    units: found.toSorted((a, b) => (a.unit < b.unit ? -1 : 1)),
    unrun: nobodys.length === 0 ? [] : [{ state: "wrong", reasons: [`no timer renews ${listed(nobodys)}`] }],
    timers,
  };
}

function isPresent(unit: Unit): boolean {
  return !["not-found", "masked"].includes(loadState(unit));
}

/** Whether a unit is an instance that systemd has loaded only because it was asked about. */
function isUnused(unit: Unit, units: readonly Unit[]): boolean {
  const { ActiveState, Result, ExecMainExitTimestamp } = unit.properties;
  if (!unit.id.startsWith("cert@") || ActiveState !== "inactive" || loadState(unit) !== "loaded")
    return false;
  if (!isTimer(unit)) return Result === "success" && timeOf(ExecMainExitTimestamp) === undefined;
  const service = find(units, serviceOf(unit));
  return !isEnabled(unit) && (service === undefined || isUnused(service, units));
}

/** `etcd, peer and 3 more` */
function listed(names: readonly string[]): string {
  const shown = names.length > 4 ? names.slice(0, 3) : names;
  const rest = names.length - shown.length;
  return `${shown.join(", ")}${rest === 0 ? "" : ` and ${rest} more`}`;
}

/**
 * For a manifest that no timer runs: the timer of ours that should. An enabled one goes first, then the one for all
 * manifests, then the manifest's own. Undefined if their services run something else.
 */
function blamedTimer(manifest: Manifest, units: readonly Unit[]): string | undefined {
  const candidates = [certTimer, instanceTimer(manifest.name)].flatMap((id) => {
    const timer = find(units, id);
    if (timer === undefined) return [];
    const service = find(units, serviceOf(timer));
    return loadState(service) !== "loaded" || runsManifest(service, manifest) ? [timer] : [];
  });
  const installed = candidates.filter((timer) => loadState(timer) !== "not-found");
  return (installed.find(isEnabled) ?? installed[0] ?? candidates[0])?.id;
}

/** @param idle what is not renewed because the timer does not fire; undefined if there is no such thing */
function timerStatus(
  timer: Unit,
  service: Unit | undefined,
  idle: string | undefined,
  context: UnitsContext,
): UnitStatus {
  const { id, properties } = timer;
  const ran = service !== undefined && isPresent(service) ? serviceStatus(service, context) : undefined;
  const about = {
    unit: id,
    // The later time: the service may also be started by a boot, but only the timer's time survives a reboot.
    lastRunAt: latest(timeOf(properties.LastTriggerUSec), ran?.lastRunAt),
    nextRunAt: timeOf(properties.NextElapseUSecRealtime),
    exitCode: ran?.exitCode,
  };
  const isStopped = properties.ActiveState !== "active";
  if (isPresent(timer) && loadState(timer) !== "loaded") return { ...about, ...broken(timer) };
  if (isStopped && isEnabled(timer) && isPresent(timer) && (ran !== undefined || idle === undefined)) {
    const reasons = ["it is enabled but stopped: nothing is renewed automatically"];
    return { ...about, state: "wrong", reasons, fix: { do: "start", unit: id } };
  }
  const { state = "ok", reasons = [], fix } = ran ?? {};
  if (idle !== undefined) {
    const [why, cure] = whyIdle(timer, service);
    const all = [...reasons, `${why}: nothing renews ${idle}`];
    return { ...about, state: "wrong", reasons: all, ...(cure === undefined ? {} : { fix: cure }) };
  }
  const disabled = isStopped ? ["not enabled"] : [];
  return { ...about, state, reasons: [...reasons, ...disabled], ...(fix === undefined ? {} : { fix }) };
}

/** Why a timer does not start its service, and how to fix that. */
function whyIdle(timer: Unit, service: Unit | undefined): readonly [why: string, fix: Action | undefined] {
  const { id } = timer;
  const enable: Action = { do: "enable", timers: [id] };
  const starts = serviceOf(timer);
  if (loadState(timer) === "not-found") return ["it is not installed", undefined];
  if (loadState(timer) === "masked") return ["it is masked", { do: "unmask", unit: id, isTimer: true }];
  if (loadState(service) === "masked")
    return [`${starts} is masked`, { do: "unmask", unit: starts, isTimer: false }];
  if (loadState(service) === "not-found") return [`${starts} is not installed`, undefined];
  if (!isEnabled(timer)) {
    return [
      isWaiting(timer) ? "it is not enabled, so it runs only until the next boot" : "it is not enabled",
      enable,
    ];
  }
  return ["it will not fire again", undefined];
}

function broken(unit: Unit): Finding {
  return { state: "wrong", reasons: [`its file is broken (${loadState(unit)})`] };
}

function serviceStatus(service: Unit, context: UnitsContext): UnitStatus {
  const { id, properties } = service;
  const lastRunAt = timeOf(properties.ExecMainExitTimestamp);
  const about = {
    unit: id,
    lastRunAt,
    nextRunAt: undefined,
    exitCode: lastRunAt === undefined ? undefined : Number(properties.ExecMainStatus),
  };
  if (loadState(service) !== "loaded") return { ...about, ...broken(service) };
  const { Result, ActiveState, Job = "0" } = properties;
  if (Result === "success") return { ...about, state: "ok", reasons: [] };
  const exitCode = Result === "exit-code" ? about.exitCode : undefined;
  const how = exitCode === undefined ? Result : `exit code ${exitCode}`;
  // It is going to be started again, directly or by the unit that delays it; or it has been already.
  if (Number(Job) !== 0 || ActiveState === "activating" || ActiveState === "active") {
    return { ...about, state: "due", reasons: [`its last run failed (${how}), and will be tried again`] };
  }
  const failed = `its last run failed (${how})`;
  return context.isCauseGone({ unit: service, at: lastRunAt, exitCode })
    ? {
        ...about,
        state: "wrong",
        reasons: [failed, "its cause seems to be fixed"],
        fix: { do: "start", unit: id },
      }
    : {
        ...about,
        state: "wrong",
        reasons: [failed],
        fix: context.fixOf(service) ?? { do: "read the journal", unit: id },
      };
}

/** Parses `Tue 2026-11-24 10:15:00 UTC`; undefined for an empty text and for `n/a`. */
function timeOf(text = ""): Date | undefined {
  const [, day, time] = /^\w{3} (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC$/.exec(text) ?? [];
  return day === undefined ? undefined : calendarDate(`${day}T${time}Z`);
}

function latest(a: Date | undefined, b: Date | undefined): Date | undefined {
  return a !== undefined && b !== undefined ? (a > b ? a : b) : (a ?? b);
}
