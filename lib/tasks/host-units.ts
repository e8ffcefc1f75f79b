import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Manifest } from "../manifest/manifest.ts";
import { certService, instanceTimer, ourUnits, serviceName } from "./unit-names.ts";

/** A unit as `systemctl show` describes it. */
export interface Unit {
  readonly id: string;
  readonly properties: Readonly<Record<string, string>>;
  /** The commands of a service, each with spaces between its words. */
  readonly commands: readonly string[];
}

/** What systemd says of some units. */
export interface ShownUnits {
  readonly units: readonly Unit[];
  /** Why systemctl did not answer, if it did not. Units may be missing then. */
  readonly fault?: string;
}

const properties = [
  ...["Id", "LoadState", "UnitFileState", "ActiveState", "SubState", "Result", "Job", "Unit", "ExecStart"],
  ...["WantedBy", "RequiredBy", "UpheldBy"],
  ...["ExecMainStatus", "ExecMainExitTimestamp", "LastTriggerUSec", "NextElapseUSecRealtime"],
];

/**
 * This host's units, from systemd: ours, and every loaded timer. If none of them runs some manifest: the services
 * of all timers too, and that manifest's own instance of our units.
 *
 * @returns no units and no fault for a host without systemd
 */
export async function readHostUnits(manifests: readonly Manifest[]): Promise<ShownUnits> {
  // The same check as sd_booted(3).
  if (!existsSync("/run/systemd/system")) return { units: [] };
  const first = await showUnits([...ourUnits, "*.timer"]);
  const { units } = first;
  if (units.length === 0) return first;
  const idle = manifests.filter((manifest) => timerOf(manifest, units) === undefined);
  if (idle.length === 0) return first;
  const known = new Set(units.map(({ id }) => id));
  const instances = idle.flatMap(({ name }) =>
    // Any other name would be an error, and then nothing would be known about any unit.
    /^[\w.:-]+$/.test(name) ? [instanceTimer(name), serviceName(instanceTimer(name))] : [],
  );
  const more = [...instances, ...units.filter(isTimer).map(serviceOf)].filter((id) => !known.has(id));
  if (more.length === 0) return first;
  const second = await showUnits(more);
  return { ...second, units: [...units, ...second.units] };
}

const answerSeconds = 5;

/** Asks systemd with `systemctl show`. A host without systemctl has no units, which is no fault. */
export async function showUnits(
  names: readonly string[],
  wanted: readonly string[] = properties,
): Promise<ShownUnits> {
  const { execFile } = await import("node:child_process");
  return await new Promise((done) => {
    execFile(
      "systemctl",
      ["show", `--property=${wanted.join(",")}`, "--", ...names],
      {
        // Times in UTC, so that they can be parsed on every host.
        env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C", TZ: "UTC" },
        timeout: answerSeconds * 1000,
        // A systemctl that hangs may ignore any other signal.
        killSignal: "SIGKILL",
      },
      (error, stdout, stderr) => {
        if (error === null) return done({ units: readUnits(stdout) });
        if (error.code === "ENOENT") return done({ units: [] });
        const [said = ""] = stderr.trim().split("\n");
        const why = error.killed ? ` within ${answerSeconds} s` : said === "" ? "" : `: ${said}`;
        done({ units: [], fault: `systemctl did not answer${why}` });
      },
    );
  });
}

/** Parses the output of `systemctl show`: a block of lines `Name=value` for each unit. A unit may come twice. */
export function readUnits(text: string): readonly Unit[] {
  const all = text.split("\n\n").flatMap((block): Unit[] => {
    const values = block.trim().split("\n").map(nameAndValue);
    const found = Object.fromEntries(values);
    const commands = values.flatMap(([name, value]) =>
      name === "ExecStart" ? (/ argv\[\]=(.*?) ; ignore_errors=/.exec(value)?.[1] ?? []) : [],
    );
    return found.Id === undefined ? [] : [{ id: found.Id, properties: found, commands }];
  });
  return [...new Map(all.map((unit) => [unit.id, unit])).values()];
}

function nameAndValue(line: string): [string, string] {
  const end = line.indexOf("=");
  return [line.slice(0, end), line.slice(end + 1)];
}

export function isTimer({ id }: Unit): boolean {
  return id.endsWith(".timer");
}

/** The service that a timer starts. */
export function serviceOf({ id, properties }: Unit): string {
  return properties.Unit || serviceName(id);
}

/** `loaded`, or another state such as `not-found`, `masked` or `bad-setting`. */
export function loadState(unit: Unit | undefined): string {
  return unit?.properties.LoadState ?? "not-found";
}

/** Whether a timer is started at every boot. */
export function isEnabled({ properties: { UnitFileState, WantedBy, RequiredBy, UpheldBy } }: Unit): boolean {
  const isByFile = UnitFileState === "enabled" || UnitFileState === "enabled-runtime";
  return isByFile || Boolean(WantedBy || RequiredBy || UpheldBy);
}

/** Whether a timer is going to fire. */
export function isWaiting({ properties }: Unit): boolean {
  return properties.ActiveState === "active" && properties.SubState !== "elapsed";
}

/** Whether a timer fires, now and after every boot, and its service exists. */
export function isAtWork(timer: Unit, units: readonly Unit[]): boolean {
  return isEnabled(timer) && isWaiting(timer) && loadState(find(units, serviceOf(timer))) === "loaded";
}

/** The enabled timer that runs a manifest; undefined if there is none. */
export function timerOf(manifest: Manifest, units: readonly Unit[]): string | undefined {
  const runs = (timer: Unit) => runsManifest(find(units, serviceOf(timer)), manifest);
  return units.find((unit) => isTimer(unit) && isAtWork(unit, units) && runs(unit))?.id;
}

export function find(units: readonly Unit[], id: string): Unit | undefined {
  return units.find((unit) => unit.id === id);
}

/**
 * Whether a service issues a manifest's certificate, by the command that it runs. If it runs a program that is not ours,
 * the service's name decides.
 */
export function runsManifest(service: Unit | undefined, manifest: Manifest): boolean {
  if (service === undefined || loadState(service) !== "loaded") return false;
  return service.commands.some((command) => {
    if (/(^|[\s/])(issue-cert|vault-helper)(\s|$)/.test(command)) return issues(command, manifest);
    return service.id === certService || service.id === serviceName(instanceTimer(manifest.name));
  });
}

/** Whether a command in a unit or a crontab issues a manifest's certificate. */
function issues(command: string, { file }: Manifest): boolean {
  if (/ --(check|hooks[ =]["']?only)\b/.test(command)) return false;
  const named = command.matchAll(/ --config(-dir)?[ =](["']?)(.+?)\2(?=\s+[-&|;>#]|[;&|)]|\s*$)/g);
  return [...named].some(([, isFolder, , path = ""]) =>
    isFolder === undefined ? isSame(path, file) : isSame(path, dirname(file)),
  );
}

function isSame(a: string, b: string): boolean {
  return realPath(a) === realPath(b);
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return resolve(path);
  }
}

const crontabs = ["/etc/crontab", "/etc/anacrontab", "/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily"];
const crontabsOfUsers = ["/var/spool/cron", "/var/spool/cron/crontabs"];

/** Whether cron runs a manifest, by the crontabs that this user may read. */
export function isInCrontab(manifest: Manifest): boolean {
  return [...crontabs, ...crontabsOfUsers]
    .flatMap(linesIn)
    .some((line) => !/^\s*#/.test(line) && issues(line, manifest));
}

/** The lines of a file, or of every file in a folder; none if it can't be read. */
function linesIn(path: string): string[] {
  try {
    if (!statSync(path).isDirectory()) return readFileSync(path, "utf8").split("\n");
    const files = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isFile());
    return files.flatMap(({ name }) => linesIn(`${path}/${name}`));
  } catch {
    return [];
  }
}
