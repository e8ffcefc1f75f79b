import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { version } from "../../package.json";
import { packagedLinkNames } from "../../tools/build.ts";
import { targets } from "../../tools/release/target.ts";
import { makeRelease } from "../../tools/release.ts";
import { describeBooted } from "../machine/bootable.ts";
import { unitFiles } from "../machine/host.ts";
import { createMachine, type Machine } from "../machine/machine.ts";
import { machineTree } from "../machine/tree.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/wait.ts";
import { output } from "./released.ts";

const minute = 60_000;
const timers = ["token-renewal.timer", "cert.timer", "cert@etcd.timer", "status-metrics.timer"];
const newer = `${version}+next`;

describeBooted("the Debian package, on a machine,", () => {
  let work: ReturnType<typeof temporaryFolder>;
  let folder: string;
  const [ours] = targets.filter(({ name }) => name === `linux-${process.arch}`);
  let host: Machine;

  beforeAll(async () => {
    work = temporaryFolder();
    folder = join(work.path, "release");
    const deb = join(folder, `vault-helper_${version}_${ours?.deb}.deb`);
    const [tree] = await Promise.all([
      machineTree(),
      makeRelease({ output: folder, made: ours === undefined ? [] : [ours], kinds: ["deb", "rpm"] }),
    ]);
    const next = await nextVersion(deb, work.path);
    host = await createMachine({
      layers: [tree],
      prepare(disk) {
        copyFileSync(deb, `${disk}/root/vault-helper.deb`);
        copyFileSync(next, `${disk}/root/next.deb`);
      },
    });
    await host.boot();
  }, 5 * minute);
  afterAll(async () => {
    await host[Symbol.asyncDispose]();
    work[Symbol.dispose]();
  });

  const apt = async (...words: string[]) =>
    await host.output("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y", ...words);
  const states = async (ask: string) =>
    (await host.run("systemctl", ask, ...timers)).stdout.trim().split("\n");

  test("installs by apt, without any other package", async () => {
    await apt("install", "/root/vault-helper.deb");
    expect(await host.output("dpkg-query", "-W", "vault-helper")).toBe(`vault-helper\t${version}`);
    expect(await host.output("dpkg", "--verify", "vault-helper")).toBe("");
  });

  test("has one executable with several names", async () => {
    const names = ["vault-helper", ...packagedLinkNames()];
    const inodes = names.map((name) => statSync(`${host.disk}/usr/bin/${name}`).ino);
    expect(new Set(inodes).size).toBe(1);
    expect(await host.output("vault-helper", "--version")).toBe(`vault-helper ${version}`);
    for (const name of packagedLinkNames())
      expect(await host.output(name, "--version")).toBe(`${name} ${version}`);
  });

  test("makes /etc/vault accessible to root only", () => {
    for (const path of ["/etc/vault", "/etc/vault/certs.d"]) {
      const { mode, uid, gid } = statSync(host.disk + path);
      expect([path, (mode & 0o7777).toString(8), uid, gid]).toEqual([path, "700", 0, 0]);
    }
  });

  test("brings units that pass systemd-analyze verify, and enables none", async () => {
    const units = unitFiles().map((name) => name.replace("@.", "@etcd."));
    expect(
      await host.run("systemd-analyze", "verify", "--recursive-errors=yes", "--man=no", ...units),
    ).toEqual({
      code: 0,
      stdout: "",
      stderr: "",
    });
    expect(await states("is-enabled")).toEqual(timers.map(() => "disabled"));
    expect(await states("is-active")).toEqual(timers.map(() => "inactive"));
  });

  test("is upgraded while timers go on", async () => {
    writeFileSync(`${host.disk}/etc/vault/token`, "of a test\n", { mode: 0o600 });
    await host.output("systemctl", "--quiet", "enable", "--now", ...timers);
    await apt("install", "/root/next.deb");
    expect(await host.output("dpkg-query", "-W", "vault-helper")).toBe(`vault-helper\t${newer}`);
    expect(await states("is-enabled")).toEqual(timers.map(() => "enabled"));
    expect(await states("is-active")).toEqual(timers.map(() => "active"));
    expect(
      await host.output("systemctl", "show", "--value", "-p", "NeedDaemonReload", "cert.service", ...timers),
    ).toMatch(/^no(\s+no){4}$/);
    expect(await host.output("systemctl", "cat", "cert.service")).toContain("# of the next version");
  });

  test(
    "is upgraded without runs of both versions at once, and starts the runs of active timers again",
    async () => {
      const hang = "[Service]\\nExecStart=\\nExecStart=/bin/sleep 600\\n";
      const running = ["cert.service", "cert-hooks.service", "cert@other.service"];
      const folders = ["cert.service.d", "cert-hooks.service.d", "cert@.service.d"].map(
        (it) => `/run/systemd/system/${it}`,
      );
      for (const folder of folders)
        await host.output("sh", "-c", `mkdir -p ${folder} && printf '${hang}' > ${folder}/hang.conf`);
      await host.output("systemctl", "daemon-reload");
      await host.output("systemctl", "stop", "cert.service", "cert@etcd.service");
      await host.output("systemctl", "restart", "--no-block", ...running);
      const pids = () => Promise.all(running.map((unit) => host.show(unit, "ExecMainPID")));
      const states = () => Promise.all(running.map((unit) => host.show(unit, "SubState")));
      await until(async () => (await states()).every((state) => state === "start"));
      const before = await pids();
      await apt("install", "--reinstall", "/root/next.deb");
      const lines = readFileSync(`${host.disk}/root/at-unpack`, "utf8").trim().split("\n");
      expect(lines).toEqual(["inactive", "inactive", "inactive"]);
      await until(async () => (await host.show("cert.service", "SubState")) === "start");
      const after = await pids();
      expect(after[0]).not.toBe(before[0]);
      // None of its own timers runs.
      expect(await host.show("cert@other.service", "SubState")).toBe("dead");
      await host.output("sh", "-c", `rm -r ${folders.join(" ")} && systemctl daemon-reload`);
      await host.output("systemctl", "stop", ...running);
    },
    minute,
  );

  test("is removed with everything that it brought and started, and leaves the host token", async () => {
    const brought = (await host.output("dpkg", "-L", "vault-helper")).split("\n");
    expect(brought.length).toBeGreaterThan(40);
    await using _ = await longDelays(host);
    await host.output("systemctl", "start", "--no-block", "cert.service", "cert@etcd.service");
    for (const unit of ["cert.service", "cert@etcd.service"])
      await until(async () => (await host.show(`retry-delay@${unit}`, "SubState")) === "start");
    await apt("remove", "vault-helper");
    const left = brought.filter((path) => existsSync(host.disk + path) && !isFolder(host, path));
    expect(left).toEqual([]);
    expect(brought.filter((path) => /vault/.test(path) && existsSync(host.disk + path))).toEqual([
      "/etc/vault",
    ]);
    expect(existsSync(`${host.disk}/etc/vault/token`)).toBe(true);
    expect(existsSync(`${host.disk}/var/lib/vault-helper`)).toBe(false);
    expect(
      await host.output(
        ...["systemctl", "list-units", "--all", "--plain", "-q"],
        ...["cert*", "token-renewal*", "retry-delay*", "hooks-again*", "status-metrics*"],
      ),
    ).toBe("");
    expect(wants(host)).toEqual([]);
  });

  test("leaves units of the same names that an administrator wrote when it is removed", async () => {
    await apt("install", "/root/vault-helper.deb");
    const own = `${host.disk}/etc/systemd/system/token-renewal`;
    writeFileSync(`${own}.service`, "[Service]\nExecStart=/bin/true\n");
    writeFileSync(`${own}.timer`, "[Timer]\nOnBootSec=1d\n[Install]\nWantedBy=timers.target\n");
    await host.output("systemctl", "daemon-reload");
    await host.output("systemctl", "--quiet", "enable", "--now", "token-renewal.timer", "cert.timer");
    await apt("remove", "vault-helper");
    expect(await states("is-active")).toEqual(["active", "inactive", "inactive", "inactive"]);
    expect(wants(host)).toEqual(["token-renewal.timer"]);
  });

  test("is purged with /etc/vault if that is empty", async () => {
    await apt("install", "/root/vault-helper.deb");
    await host.output("rm", "/etc/vault/token");
    await apt("purge", "vault-helper");
    expect(existsSync(`${host.disk}/etc/vault`)).toBe(false);
    expect((await host.run("dpkg-query", "-W", "vault-helper")).code).toBe(1);
  });

  test("is installed, verified and removed as an rpm", async () => {
    // Its database can't be opened through /proc.
    const [, keeper = "", disk] = /^\/proc\/(\d+)\/root(.*)$/.exec(host.disk) ?? [];
    const here = ["nsenter", "-t", keeper, "-m", "rpm", `--root=${disk}`, "--dbpath=/var/lib/rpm"];
    const rpm = async (...words: string[]) => await output([...here, "--force-debian", ...words]);
    // rpm knows only its own records.
    await rpm("--install", "--nodeps", join(folder, `vault-helper-${version}-1.${ours?.rpm}.rpm`));
    expect(await rpm("--verify", "--nodeps", "vault-helper")).toBe("");
    expect(await host.output("issue-cert", "--version")).toBe(`issue-cert ${version}`);
    const inodes = ["vault-helper", ...packagedLinkNames()].map(
      (name) => statSync(`${host.disk}/usr/bin/${name}`).ino,
    );
    expect(new Set(inodes).size).toBe(1);
    await host.output("systemctl", "daemon-reload");
    await host.output("systemctl", "--quiet", "enable", "cert.timer");
    const brought = (await rpm("--query", "--list", "vault-helper")).trim().split("\n");
    await rpm("--erase", "--nodeps", "vault-helper");
    expect(brought.filter((path) => existsSync(host.disk + path))).toEqual([]);
    expect(wants(host)).toEqual(["token-renewal.timer"]);
  });
});

/** Makes every start of our units wait, as a retry does, until it is disposed of. */
async function longDelays(host: Machine): Promise<AsyncDisposable> {
  const folder = "/run/systemd/system/retry-delay@.service.d";
  const text = "[Service]\\nExecStart=\\nExecStart=/bin/sleep 600\\n";
  await host.output("sh", "-c", `mkdir -p ${folder} && printf '${text}' > ${folder}/long.conf`);
  await host.output("systemctl", "daemon-reload");
  return {
    async [Symbol.asyncDispose]() {
      await host.output("sh", "-c", `rm -r ${folder} && systemctl daemon-reload`);
    },
  };
}

function isFolder(host: Machine, path: string): boolean {
  return lstatSync(host.disk + path).isDirectory();
}

/** Our timers that some target wants. */
function wants(host: Machine): string[] {
  return readdirSync(`${host.disk}/etc/systemd/system/timers.target.wants`).filter((name) =>
    /^(cert|token-renewal)/.test(name),
  );
}

/** The same package with a higher version, and a unit that has it in its text. */
async function nextVersion(deb: string, folder: string): Promise<string> {
  const script = `dpkg-deb --raw-extract "$0" "$1/next"
    sed -i "s/^Version: .*/Version: $2/" "$1/next/DEBIAN/control"
    echo "systemctl is-active cert.service cert-hooks.service cert@other.service > /root/at-unpack || true" >> "$1/next/DEBIAN/preinst"
    echo "# of the next version" >> "$1/next/usr/lib/systemd/system/cert.service"
    dpkg-deb --root-owner-group -Zgzip -z1 --build "$1/next" "$1/next.deb"`;
  await output(["sh", "-e", "-c", script, deb, folder, newer]);
  return join(folder, "next.deb");
}
