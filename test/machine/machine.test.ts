import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { until } from "../support/wait.ts";
import { demoSite, describeBooted } from "./bootable.ts";
import { createEtcdHost, etcdHealth } from "./etcd-host.ts";
import {
  changeManifest,
  destination,
  dropIn,
  filesAsTheyAre,
  keyOf,
  manifest,
  matchingSerial,
  services,
  timers,
  tokenIn,
  userOf,
  writeHostFile,
} from "./host.ts";
import type { Machine } from "./machine.ts";
import { fireSoon, isQuiet } from "./timers.ts";

const minute = 60_000;

describeBooted("a booted machine", () => {
  const site = demoSite();
  let host: Machine;
  beforeAll(async () => {
    host = await createEtcdHost(site);
    await host.boot();
  }, minute);
  afterAll(() => host[Symbol.asyncDispose]());

  const monotonic = async (unit: string, property: string) =>
    Number(await host.show(unit, `${property}TimestampMonotonic`));

  test("exchanges its init token and gets its certificate before the service that needs it starts", async () => {
    expect(await host.settled()).toBe("running");
    expect(tokenIn(host.disk, "init-token")).toBe("");
    expect(statSync(`${host.disk}/etc/vault/token`).mode & 0o777).toBe(0o600);
    expect(matchingSerial(host.disk)).toMatch(/^[0-9A-F]+$/);
    const { uid, mode } = statSync(`${host.disk}${destination}-key.pem`);
    expect([uid, mode & 0o777]).toEqual([userOf(host.disk, "etcd").uid, 0o600]);
    const tokenEnded = await monotonic("token-renewal.service", "ExecMainExit");
    const certStarted = await monotonic("cert.service", "ExecMainStart");
    const hooksEnded = await monotonic("cert-hooks.service", "ExecMainExit");
    const etcdStarted = await monotonic("etcd.service", "ExecMainStart");
    const inOrder = [tokenEnded, certStarted, hooksEnded, etcdStarted];
    expect(Math.min(...inOrder)).toBeGreaterThan(0);
    expect(inOrder).toEqual(inOrder.toSorted((a, b) => a - b));
    expect(await etcdHealth(host)).toContain("is healthy");
    expect(await host.journal(services)).toEqual([
      expect.stringContaining("the init token was exchanged for a host token"),
      expect.stringContaining("etcd.pem issued (there is none yet)"),
      expect.stringContaining("reload etcd.service (for etcd): done"),
    ]);
  });

  test("changes and logs nothing when its timers fire and nothing is due", async () => {
    const [files, started, said] = [
      { ...filesAsTheyAre(host.disk, "/etc/vault"), ...filesAsTheyAre(host.disk, "/etc/etcd") },
      await monotonic("etcd.service", "ExecMainStart"),
      await host.journal(services),
    ];
    expect(Object.keys(files).length).toBeGreaterThan(10);
    {
      await using _ = await fireSoon(host, timers);
      for (const service of ["token-renewal.service", "cert.service"]) {
        const before = await host.show(service, "InvocationID");
        await until(async () => (await host.show(service, "InvocationID")) !== before);
      }
    }
    await until(async () => (await host.settled()) === "running" && (await isQuiet(host)));
    expect(await host.journal(services)).toEqual(said);
    expect({
      ...filesAsTheyAre(host.disk, "/etc/vault"),
      ...filesAsTheyAre(host.disk, "/etc/etcd"),
    }).toEqual(files);
    expect(await monotonic("etcd.service", "ExecMainStart")).toBe(started);
  });

  test("replaces another user's key, wakes its watchers, and restarts the service that reads it once", async () => {
    const sets = `${host.disk}/etc/etcd/ssl/.etcd.set`;
    const watched = join(sets, readlinkSync(join(sets, "current")), "key.pem");
    const { ctimeNs } = statSync(watched, { bigint: true });
    const before = {
      serial: matchingSerial(host.disk),
      key: keyOf(host.disk),
      files: filesAsTheyAre(host.disk, "/etc/vault"),
    };
    changeManifest(host.disk, { key_bit_size: "384" });
    await host.output("systemctl", "start", "cert.service");
    await until(() => isQuiet(host));
    expect(keyOf(host.disk)).not.toBe(before.key);
    expect(matchingSerial(host.disk)).not.toBe(before.serial);
    const { uid, gid, mode } = statSync(`${host.disk}${destination}-key.pem`);
    expect({ uid, gid, mode: mode & 0o777 }).toEqual({ ...userOf(host.disk, "etcd"), mode: 0o600 });
    // What wakes them changes this time, and nothing else.
    expect(statSync(watched, { bigint: true }).ctimeNs).toBeGreaterThan(ctimeNs);
    expect((await host.journal(["cert.service"])).filter((line) => line.includes("wake"))).toEqual([]);
    expect(await host.show("etcd.service", "ActiveState")).toBe("active");
    expect(await etcdHealth(host)).toContain("is healthy");
    const told = (await host.journal(["cert-hooks.service"])).filter((line) => line.endsWith(": done"));
    expect(told).toHaveLength(2);
    const run = await host.show("cert.service", "InvocationID");
    await host.output("systemctl", "restart", "etcd.service");
    expect(await host.show("cert.service", "InvocationID")).toBe(run);
  });

  test("fixes the mode of another user's key", async () => {
    await host.output("sh", "-c", `chmod 0644 $(readlink -f ${destination}-key.pem)`);
    await host.output("systemctl", "start", "cert.service");
    expect(statSync(`${host.disk}${destination}-key.pem`).mode & 0o777).toBe(0o600);
  });

  test.each([
    ["/srv/tls", ""],
    ["/etc/vault/tls", ""],
    // Hidden from hooks without this line.
    ["/etc/ssl/private/tls", "InaccessiblePaths="],
  ])("issues in %s once a drop-in allows it, and runs the hooks", async (folder, more) => {
    const elsewhere = "/etc/vault/certs.d/elsewhere.toml";
    const content = manifest({
      destination: `"${folder}/etcd"`,
      on_change: '[["/usr/bin/touch", "/run/told"]]',
    });
    writeHostFile(host.disk, elsewhere, { content });
    await host.output("install", "-d", "-m", "0750", "-o", "etcd", "-g", "etcd", folder);
    await host.output("rm", "-f", "/run/told");
    // Earlier tests may have used up the limit of starts in ten seconds.
    await host.output("systemctl", "reset-failed", "cert.service");
    expect((await host.run("systemctl", "start", "cert.service")).code).not.toBe(0);
    expect(await host.show("cert.service", "ExecMainStatus")).toBe("73");
    const example = readFileSync(join(import.meta.dir, "../../units/examples/destination.conf"), "utf8");
    for (const unit of ["cert.service", "cert-hooks.service"]) {
      const lines = `${example.replaceAll("/srv/tls", folder)}${unit === "cert-hooks.service" ? more : ""}\n`;
      for (const [path, file] of Object.entries(dropIn(unit, lines))) writeHostFile(host.disk, path, file);
    }
    await host.output("systemctl", "daemon-reload");
    await host.output("systemctl", "start", "cert.service");
    await until(() => existsSync(`/proc/${host.leader}/root/run/told`));
    await until(() => isQuiet(host));
    expect(readFileSync(`${host.disk}${folder}/etcd.pem`, "utf8")).toContain("BEGIN CERTIFICATE");
    expect(existsSync(`${host.disk}${folder}/.etcd.set/pending`)).toBe(false);
    await host.output("rm", elsewhere);
    // Remove it now, so that this drop-in doesn't help the next test.
    for (const unit of ["cert.service", "cert-hooks.service"])
      await host.output("rm", "-r", `/etc/systemd/system/${unit}.d`);
    await host.output("systemctl", "daemon-reload");
  });

  test("issues by a unit for a single manifest", async () => {
    changeManifest(host.disk, { san_hosts: '["single.example"]' });
    const before = matchingSerial(host.disk);
    await host.output("systemctl", "start", "cert@etcd.service");
    expect(matchingSerial(host.disk)).not.toBe(before);
    await until(async () => (await host.journal(["cert-hooks@etcd.service"])).length > 0);
    expect(await host.journal(["cert-hooks@etcd.service"])).toEqual([
      expect.stringContaining("reload etcd.service (for etcd): done"),
    ]);
  });
});
