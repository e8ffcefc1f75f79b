import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { until } from "../support/wait.ts";
import { demoSite, describeBooted } from "./bootable.ts";
import { createEtcdHost } from "./etcd-host.ts";
import { changeManifest, destination, matchingSerial } from "./host.ts";
import type { Machine } from "./machine.ts";
import { isQuiet } from "./timers.ts";

const minute = 60_000;

describeBooted("hooks on a booted machine", () => {
  const site = demoSite();
  let host: Machine;
  beforeAll(async () => {
    host = await createEtcdHost(site);
    await host.boot();
    expect(await host.settled()).toBe("running");
  }, minute);
  afterAll(() => host[Symbol.asyncDispose]());

  let changes = 0;
  /** Adds a certificate with a shell script as its hook. */
  const change = (script: string) =>
    changeManifest(host.disk, {
      san_hosts: `["change-${++changes}.example"]`,
      on_change: `[["/bin/sh", "-c", "${script}"]]`,
      reload: "[]",
    });
  const told = `/proc/${"{}"}/root/run/told`;
  const lines = () => {
    const path = told.replace("{}", String(host.leader));
    return existsSync(path) ? readFileSync(path, "utf8").split("\n").filter(Boolean) : [];
  };
  const issue = async () => {
    const before = matchingSerial(host.disk);
    await host.output("systemctl", "start", "cert.service");
    expect(matchingSerial(host.disk)).not.toBe(before);
  };
  const isPending = () => existsSync(`${host.disk}${destination.replace(/etcd$/, ".etcd.set")}/pending`);

  test(
    "delay no certificate, and run again after the current run for changes made meanwhile",
    async () => {
      const slow =
        "echo begun >> /run/told; while [ ! -e /run/go ]; do sleep 0.1; done; echo ended >> /run/told";
      change(slow);
      await issue();
      await until(() => lines().length === 1);
      for (const _ of [1, 2]) {
        change(slow);
        await issue();
        expect(lines()).toEqual(["begun"]);
        expect(await host.show("cert-hooks.service", "SubState")).toBe("start");
      }
      await host.output("touch", "/run/go");
      await until(async () => !isPending() && (await isQuiet(host)));
      expect(lines()).toEqual(["begun", "ended", "begun", "ended"]);
      rmSync(`/proc/${host.leader}/root/run/told`);
    },
    minute,
  );

  test(
    "run for every one of many changes at random times",
    async () => {
      change("echo last >> /run/told");
      await host.output("rm", "-f", "/run/go");
      for (let i = 0; i < 6; i++) {
        change(`sleep 0.${i}; echo ${i} >> /run/told`);
        await host.output("systemctl", "reset-failed");
        await issue();
        await Bun.sleep(Math.random() * 300);
      }
      await until(async () => !isPending() && (await isQuiet(host)));
      expect(lines().at(-1)).toBe("5");
      rmSync(`/proc/${host.leader}/root/run/told`);
    },
    minute,
  );

  test(
    "that fail are retried at once with the next change, and delay no certificate",
    async () => {
      change("echo failing >> /run/told; test -e /run/well");
      await host.output("systemctl", "reset-failed");
      await issue();
      await until(async () => (await host.show("cert-hooks.service", "SubState")) === "auto-restart");
      expect(await host.show("cert-hooks.service", "RestartUSec")).toBe("5min");
      await host.output("touch", "/run/well");
      change("echo well >> /run/told");
      await issue();
      await until(async () => !isPending() && (await isQuiet(host)));
      expect(lines()).toEqual(["failing", "well"]);
      expect(await host.show("cert-hooks.service", "ActiveState")).toBe("inactive");
    },
    minute,
  );

  test(
    "that name a missing unit are reported once, and act at the first change after the unit exists",
    async () => {
      const hooks = () =>
        changeManifest(host.disk, {
          san_hosts: `["change-${++changes}.example"]`,
          reload: '["later.service"]',
          restart: '["etcd@.service"]',
        });
      hooks();
      await issue();
      await until(async () => !isPending() && (await isQuiet(host)));
      const journal = async () =>
        (await host.journal(["cert-hooks.service"])).filter((line) => /later|@\./.test(line));
      const notes = [
        "issue-cert: reload later.service (for etcd): this host has no such unit",
        "issue-cert: restart etcd@.service (for etcd): it is a template: name one of its units",
      ];
      expect(await journal()).toEqual(notes);
      expect(await host.show("cert-hooks.service", "Result")).toBe("success");
      await host.output("systemctl", "restart", "cert-hooks.service");
      expect(await journal()).toEqual(notes);

      const unit = "[Service]\nExecStart=/bin/sleep 1000\nExecReload=/bin/touch /run/reloaded\n";
      await host.output("sh", "-c", `printf '${unit}' > /run/systemd/system/later.service`);
      await host.output("systemctl", "start", "later.service");
      hooks();
      await issue();
      await until(async () => !isPending() && (await isQuiet(host)));
      await host.output("test", "-e", "/run/reloaded");
    },
    minute,
  );
});
