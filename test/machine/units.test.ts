import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ExitCode } from "../../lib/cli/exit-code.ts";
import { parseDuration } from "../../lib/duration.ts";
import { version } from "../../package.json";
import { ROOT } from "../../tools/main.ts";
import { temporaryFolder } from "../support/folder.ts";
import { unitFiles } from "./host.ts";
import { machineTree, whyNoMachine } from "./tree.ts";

/** The names of the units on a host, with an instance for each template. */
const names = unitFiles().map((name) => name.replace("@.", "@kubelet."));
const services = names.filter((name) => name.endsWith(".service"));

/** The files of a host that systemd-analyze needs: its own units, our units, and the programs that they start. */
const host = temporaryFolder();
const unitFolder = join(host.path, "etc/systemd/system");
// Uses this machine's systemd if there is one, otherwise the one in the tree for booted machines.
const reason = Bun.which("systemd-analyze") === null ? whyNoMachine() : undefined;
let analyze: (...args: string[]) => string;

beforeAll(async () => {
  if (reason !== undefined) return;
  const tree = Bun.which("systemd-analyze") === null ? await machineTree() : undefined;
  cpSync(join(tree ?? "/", "usr/lib/systemd/system"), join(host.path, "usr/lib/systemd/system"), {
    recursive: true,
    verbatimSymlinks: true,
  });
  for (const path of [
    ...["renew-token", "issue-cert", "vault-helper"].map((name) => `usr/local/bin/${name}`),
    ...["bin/systemctl", "bin/sh"],
  ]) {
    mkdirSync(join(host.path, path, ".."), { recursive: true });
    writeFileSync(join(host.path, path), "");
    chmodSync(join(host.path, path), 0o755);
  }
  cpSync(join(ROOT, "units"), unitFolder, { recursive: true });
  analyze = (...args) => runAnalyze(tree, args);
}, 300_000);
afterAll(() => host[Symbol.dispose]());

/** As root it gets its own /run, because it would leave a file there. */
function runAnalyze(tree: string | undefined, args: readonly string[]): string {
  const contained = ["unshare", "--mount", "--propagation", "private", "sh", "-c"];
  const here = 'mount -t tmpfs tmpfs /run; exec systemd-analyze --root="$0" "$@"';
  const there = `mount --bind "$0" "${tree}/mnt"; exec chroot "${tree}" systemd-analyze --root=/mnt "$@"`;
  const isRoot = process.getuid?.() === 0;
  const command = isRoot
    ? [...contained, tree === undefined ? here : there, host.path, ...args]
    : ["systemd-analyze", `--root=${host.path}`, ...args];
  const { stdout, stderr } = Bun.spawnSync(command, { env: { ...process.env, LC_ALL: "C" } });
  return `${stdout}${stderr}`;
}

function verify(...units: string[]): string {
  return analyze("verify", "--man=no", "--recursive-errors=yes", ...units);
}

function exposure(service: string): number {
  const figure = /Overall exposure level for \S+: ([\d.]+)/.exec(
    analyze("security", "--offline=true", service),
  );
  return Number(figure?.[1] ?? Number.NaN);
}

const skipped = reason === undefined ? "" : ` (skipped here, since it is not installed, and ${reason})`;
describe.skipIf(reason !== undefined)(`systemd-analyze${skipped}`, () => {
  test("verify accepts every unit", () => {
    expect(names.length).toBeGreaterThanOrEqual(9);
    expect(verify(...names)).toBe("");
  });

  test.each([
    ["destination.conf", "cert.service"],
    ["destination.conf", "cert-hooks.service"],
    ["init-token-credential.conf", "token-renewal.service"],
    ["init-token-credential.conf", "cert.service"],
    ["init-token-credential.conf", "cert@kubelet.service"],
    ["short-lived.conf", "cert@kubelet.timer"],
    ["window.conf", "cert.timer"],
    ["after-certificates.conf", "etcd.service"],
  ])("verify accepts the example %s for %s", (example, unit) => {
    const folder = join(unitFolder, `${unit}.d`);
    writeFileSync(join(unitFolder, "etcd.service"), "[Service]\nExecStart=/usr/local/bin/issue-cert\n");
    mkdirSync(folder);
    cpSync(join(ROOT, "units/examples", example), join(folder, example));
    expect(verify(unit)).toBe("");
    rmSync(folder, { recursive: true });
  });

  test("verify reports a misspelt setting and a missing program", () => {
    const text = readFileSync(join(unitFolder, "cert.service"), "utf8");
    writeFileSync(join(unitFolder, "misspelt.service"), text.replace("ProtectHome", "ProtectHomes"));
    writeFileSync(join(unitFolder, "missing.service"), text.replace("/issue-cert --", "/issue-crt --"));
    expect(verify("misspelt.service")).toContain("Unknown key 'ProtectHomes'");
    expect(verify("missing.service")).toContain("/usr/local/bin/issue-crt is not executable");
  });

  const most: Readonly<Record<string, number>> = {
    "token-renewal": 1.4,
    "cert-hooks": 1.8,
    "status-metrics": 1.7,
  };
  test.each(services)("rates %s as no more exposed than docs/hosts.md says", (service) => {
    const limit = most[service.replace(/(@.*)?\.service$/, "")] ?? (service.startsWith("cert") ? 2 : 1.3);
    expect(exposure(service)).toBeLessThanOrEqual(limit);
  });

  test("rates a unit without a sandbox as exposed", () => {
    writeFileSync(join(unitFolder, "bare.service"), "[Service]\nExecStart=/usr/local/bin/renew-token\n");
    expect(exposure("bare.service")).toBeGreaterThan(9);
  });
});

/** Each setting of a unit, with its values in order. */
function settings(file: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const line of readFileSync(join(ROOT, "units", file), "utf8").split("\n")) {
    const [, name, value = ""] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (name !== undefined) found.set(name, [...(found.get(name) ?? []), value]);
  }
  return found;
}

const delaying = "retry-delay@.service";
const again = "hooks-again@.service";
const network = ["token-renewal.service", "cert.service", "cert@.service"];
/** What its timer starts again soon enough. */
const metrics = "status-metrics";
const ours = unitFiles().filter((name) => name.endsWith(".service") && ![delaying, again].includes(name));

describe.each(ours)("%s", (file) => {
  const unit = settings(file);
  const only = (name: string) => unit.get(name)?.join(" ") ?? "";

  test("is retried only after failures that may pass", () => {
    if (file === `${metrics}.service`) {
      expect([only("Restart"), only("SuccessExitStatus")]).toEqual(["", "1 2"]);
      return;
    }
    const final = only("RestartPreventExitStatus").split(" ").map(Number);
    const own = Object.values(ExitCode).filter(
      (code) => code !== ExitCode.ok && code !== ExitCode.wrong && code !== ExitCode.wouldChange,
    );
    expect(own.filter((code) => !final.includes(code))).toEqual([ExitCode.tryLater]);
    // The service manager's own code for a missing folder of the sandbox.
    expect(final).toContain(226);
    expect(only("Restart")).toBe("on-failure");
  });

  test("gives its program at least the time of --timeout", () => {
    const own = /--timeout (\S+)/.exec(only("ExecStart"))?.[1] ?? "";
    const limit = only("TimeoutStartSec").replace("min", "m");
    expect(parseDuration(limit)).toBeGreaterThanOrEqual(parseDuration(own) + 30);
  });

  test("reads no variables from a file", () => {
    expect(unit.get("EnvironmentFile")).toBe(undefined);
  });

  test("unsets variables that would change the program", () => {
    expect(unit.get("UnsetEnvironment")).toEqual(settings("token-renewal.service").get("UnsetEnvironment"));
    expect(only("UnsetEnvironment")).toMatch(/^BUN_BE_BUN BUN_OPTIONS .* NODE_OPTIONS .* LD_PRELOAD /);
  });
});

/** The state of a service that is waiting for its restart. */
const waiting = "Result=exit-code\nActiveState=inactive";

/** The delay of `retry-delay@` before a restart. Runs its script with a fake systemctl and a fake sleep. */
function delayAt(restarts: number, state = waiting): number {
  using folder = temporaryFolder();
  const programs = {
    systemctl: `printf '%s\\n' '${state}' NRestarts=${restarts}`,
    sleep: 'echo "slept $1"',
  };
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(folder.path, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  const text = readFileSync(join(ROOT, "units", delaying), "utf8").replaceAll("\\\n", "");
  const [, script = ""] = /^ExecStart=\/bin\/sh -c '(.*)' sh %i.service$/m.exec(text) ?? [];
  const [, step = ""] = /^Environment=STEP_SECONDS=(\d+)$/m.exec(text) ?? [];
  const { stdout } = Bun.spawnSync(["/bin/sh", "-c", script.replaceAll("$$", "$"), "sh", "cert.service"], {
    env: { PATH: folder.path, STEP_SECONDS: step },
  });
  const [, slept = "0"] = /^slept (\d+)$/m.exec(`${stdout}`) ?? [];
  expect(`${stdout}`).toBe(
    slept === "0" ? "" : `cert.service is tried again in ${slept} s\nslept ${slept}\n`,
  );
  return Number(slept);
}

test("units with network access are retried after 1, 2, 4, 8, 16 and then 30 minutes", () => {
  for (const file of network) {
    expect(settings(file).get("RestartSec")).toEqual(["1min"]);
    const delay = `retry-delay@${file.replace(".service", "").replace("@", "@%i")}.service`;
    for (const how of ["Wants", "After"]) {
      expect(settings(file).get(how)?.join(" ").split(" ")).toContain(delay);
    }
  }
  expect([1, 2, 3, 4, 5, 6, 7, 100].map((restart) => 1 + delayAt(restart) / 60)).toEqual([
    1, 2, 4, 8, 16, 30, 30, 30,
  ]);
  expect(delayAt(0)).toBe(0);
  expect(delayAt(3, "Result=timeout\nActiveState=activating")).toBe(180);
  // A drop-in may set any step, so the delay has no time limit.
  expect(settings(delaying).get("TimeoutStartSec")).toEqual(["infinity"]);
});

test.each([
  ["has succeeded", "Result=success\nActiveState=inactive"],
  ["has failed for good", "Result=exit-code\nActiveState=failed"],
])("the start of a unit that %s is not delayed, even after many retries before", (_, state) => {
  expect(delayAt(100, state)).toBe(0);
});

test("commands outside a sandbox are fixed: they use no variable and no file that the sandbox can write", () => {
  const found = Object.fromEntries(
    unitFiles().map((file) => [
      file,
      readFileSync(join(ROOT, "units", file), "utf8")
        .replaceAll("\\\n", "")
        .split("\n")
        .filter((line) => /^Exec\w+=[@:!|-]*\+/.test(line))
        .map((line) => line.replaceAll(/ +/g, " ")),
    ]),
  );
  const made = (sets: string) =>
    "ExecStartPre=+/bin/sh -c 'umask 077; set -C; " +
    `mkdir -p /var/lib/vault-helper/root /run/vault-helper${sets} || exit; ` +
    "for file in /etc/vault/token /run/vault-helper/token.lock; do " +
    `[ -e "$$file" ] || true >"$$file" || [ -e "$$file" ] || exit; done'`;
  const hooks = (instance: string) =>
    `ExecStopPost=+/bin/systemctl --no-block restart hooks-again@cert-hooks${instance}.service`;
  expect(Object.fromEntries(Object.entries(found).filter(([, lines]) => lines.length > 0))).toEqual({
    "status-metrics.service": ["ExecStartPre=+/bin/sh -c 'umask 077; mkdir -p /var/lib/vault-helper/root'"],
    "token-renewal.service": [made("")],
    "cert.service": [hooks(""), made("/sets")],
    "cert@.service": [hooks("@%i"), made("/sets")],
  });
});

test("issuing does not wait for hooks, but cert.target does", () => {
  for (const file of network) expect(`${file}: ${settings(file).get("After")}`).not.toMatch(/hooks/);
  const [after = ""] = settings("cert.target").get("After") ?? [];
  expect(after.split(" ")).toEqual(["cert.service", "hooks-again@cert-hooks.service", "cert-hooks.service"]);
});

test.each(["cert", "cert-hooks"])("%s.service and its template differ only in the manifest", (name) => {
  const rename = (text: string) =>
    text
      .replaceAll("@%i", "")
      .replaceAll("-%i", "")
      .replace("--config /etc/vault/certs.d/%i.toml", "--config-dir /etc/vault/certs.d");
  const [plain, template] = [settings(`${name}.service`), settings(`${name}@.service`)];
  for (const [setting, values] of template) {
    if (setting !== "Description")
      expect([setting, values.map(rename)]).toEqual([setting, [...(plain.get(setting) ?? [])]]);
  }
  expect([...template.keys()]).toEqual([...plain.keys()]);
});

test("units with network access have no address family that reaches the service manager", () => {
  for (const file of [...network, `${metrics}.service`]) {
    expect([file, settings(file).get("RestrictAddressFamilies")]).toEqual([file, ["AF_INET AF_INET6"]]);
  }
});

test.each(unitFiles().filter((name) => name.endsWith(".timer") && name !== `${metrics}.timer`))(
  "%s fires daily at the host's own time, and also starts the service with itself",
  (file) => {
    const timer = settings(file);
    const service = file.replace("@.timer", "@%i.service").replace(".timer", ".service");
    expect(timer.get("Wants")).toEqual([service]);
    expect(timer.get("OnCalendar")).toEqual(["daily"]);
    expect([timer.get("FixedRandomDelay"), timer.get("Persistent")]).toEqual([["true"], ["true"]]);
  },
);

test("metrics are written every ten minutes at the host's own time, and once with their timer", () => {
  const timer = settings(`${metrics}.timer`);
  expect([timer.get("OnCalendar"), timer.get("RandomizedDelaySec")]).toEqual([["*:0/10"], ["10min"]]);
  expect([timer.get("FixedRandomDelay"), timer.get("Wants")]).toEqual([["true"], [`${metrics}.service`]]);
});

test("the user-data for cloud-init names this version, and makes etcd wait as in the example", () => {
  const read = (path: string) => readFileSync(join(ROOT, "units", path), "utf8");
  const userData = read("cloud-init.yaml");
  expect(userData).toContain(`/vault-helper-${version}-linux-x64.tar.gz\n`);
  const settings = read("examples/after-certificates.conf")
    .split("\n")
    .filter((line) => /^\w+=/.test(line));
  expect(settings.length).toBeGreaterThan(3);
  for (const setting of settings) expect(userData).toContain(`      ${setting}\n`);
});
