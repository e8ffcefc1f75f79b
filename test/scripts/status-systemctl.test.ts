import { expect, test } from "bun:test";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../support/folder.ts";
import { runCommand, scriptPath } from "../support/script.ts";

/**
 * Runs `status` on a host with one manifest and no token, in its own mount namespace, where a stand-in for systemctl is
 * found before the real one.
 *
 * @param systemctl a shell script, in which CERTS is the folder of the manifest; undefined for a host without systemctl
 */
async function statusWith(systemctl: string | undefined) {
  using folder = temporaryFolder();
  const certs = join(folder.path, "certs.d");
  mkdirSync(certs);
  const manifest = `sign_path = "demo/pki/k8s/sign/kubelet"\ncommon_name = "a"\ndestination = "${folder.path}/a"\n`;
  writeFileSync(join(certs, "etcd.toml"), manifest);
  const program = join(folder.path, "systemctl");
  writeFileSync(program, `#!/bin/sh\n${systemctl?.replaceAll("CERTS", certs)}\n`);
  chmodSync(program, 0o755);
  const install =
    systemctl === undefined
      ? "mount -t tmpfs none /usr/bin"
      : `mount -t tmpfs none /usr/sbin && install -m 0755 ${program} /usr/sbin/`;
  const status = `${await scriptPath("status")} --offline --config-path ${folder.path} --config-dir ${certs}`;
  const host = `
    mount -t tmpfs none /run && mkdir -p /run/systemd/system && ${install} &&
    ${status}; echo $? >&2; exec ${status} --json`;
  const { code, stdout, stderr } = await runCommand(["unshare", "--mount", "sh", "-c", host]);
  const [table = "", json = ""] = stdout.split(/^(?=\{$)/m);
  expect(stderr).toBe(`${code}\n`);
  const { units, manifests } = JSON.parse(json);
  return { code, table, units, manifests };
}

const timers = [
  ...[
    "Id=cert.timer",
    "LoadState=loaded",
    "ActiveState=active",
    "UnitFileState=enabled",
    "Unit=cert.service",
  ],
  ...["", "Id=cert.service", "LoadState=loaded", "Result=success"],
  "ExecStart={ path=/usr/bin/issue-cert ; argv[]=/usr/bin/issue-cert --config-dir FOLDER ; ignore_errors=no ; }",
  ...["", "Id=mine.timer", "LoadState=loaded", "ActiveState=active", "UnitFileState=enabled"],
];
const print = (folder: string) => `cat <<'EOF'\n${timers.join("\n").replace("FOLDER", folder)}\nEOF`;

test.each([
  ["hangs and ignores signals", "trap '' TERM\nsleep 30\nsleep 30", "systemctl did not answer within 5 s"],
  [
    "fails",
    "echo 'Failed to connect to bus: no such host' >&2; exit 1",
    "systemctl did not answer: Failed to connect to bus: no such host",
  ],
  ["is killed", "kill -KILL $$", "systemctl did not answer"],
])(
  "status says so if systemctl %s, and shows the rest",
  async (_, systemctl, reason) => {
    const { code, table, units, manifests } = await statusWith(systemctl);
    expect(code).toBe(1);
    expect(table).toContain("there is none; there is no init token either");
    expect(table).toMatch(new RegExp(`^unknown  systemd +${reason}$`, "m"));
    const nothing = { mend: null, lastRunAt: null, exitCode: null, nextRunAt: null, nextRunInSeconds: null };
    expect(units).toEqual([{ state: "unknown", reasons: [reason], unit: "systemd", ...nothing }]);
    expect(manifests).toEqual([]);
  },
  45_000,
);

test("status blames no timer if systemctl answers only once", async () => {
  const { units, manifests } = await statusWith(`case "$*" in
    *" mine.service"*) echo 'no more' >&2; exit 1;;
    *) ${print("/elsewhere")}
;; esac`);
  const short = units.map(({ unit, state, reasons }: Record<string, unknown>) => [unit, state, reasons]);
  expect(short).toEqual([
    ["cert.timer", "ok", []],
    ["systemd", "unknown", ["systemctl did not answer: no more"]],
  ]);
  expect(manifests).toEqual([]);
});

test("status names a manifest that no timer runs if systemctl answers each time", async () => {
  const { units, manifests } = await statusWith(`case "$*" in
    *" mine.service"*) ;;
    *) ${print("/elsewhere")}
;; esac`);
  expect(units.map(({ unit }: Record<string, unknown>) => unit)).toEqual(["cert.timer"]);
  expect(manifests).toEqual([{ state: "wrong", reasons: ["no timer renews etcd"], mend: null }]);
});

test("status says so if systemctl does not answer about sandboxes, and judges the timers", async () => {
  const { units, manifests } = await statusWith(`case "$*" in
    *BindPaths*) exit 1;;
    *) ${print("CERTS")}
;; esac`);
  expect(units.map(({ unit, state }: Record<string, unknown>) => [unit, state])).toEqual([
    ["cert.timer", "ok"],
    ["systemd", "unknown"],
  ]);
  expect(manifests).toEqual([]);
});

test("status says nothing about units on a host without systemctl", async () => {
  const { units, manifests } = await statusWith(undefined);
  expect([units, manifests]).toEqual([[], []]);
});
