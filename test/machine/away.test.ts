import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { until } from "../support/wait.ts";
import { demoSite, describeBooted } from "./bootable.ts";
import { createEtcdHost, etcdHealth } from "./etcd-host.ts";
import { changeManifest, destination, matchingSerial, retries, tokenIn, writeHostFile } from "./host.ts";
import type { Machine } from "./machine.ts";
import { isQuiet } from "./timers.ts";

const minute = 60_000;
const units = ["token-renewal.service", "cert.service"];

describeBooted("a booted machine while the server is away", () => {
  const site = demoSite();

  let host: Machine;
  beforeAll(async () => {
    host = await createEtcdHost(site, retries(1));
  });
  afterAll(() => host[Symbol.asyncDispose]());

  test(
    "retries at its first boot with growing delays, and gets token and certificate once the server is back",
    async () => {
      const { server, initToken } = site.demo;
      await server.stop();
      await host.boot();
      for (const unit of units) {
        await untilRetried(host, unit);
        const delays = [1, 3, 7].map((delay) =>
          expect.stringContaining(`${unit} is tried again in ${delay} s`),
        );
        await until(async () => (await delaysOf(host, unit)).length >= delays.length);
        expect((await delaysOf(host, unit)).slice(0, delays.length)).toEqual(delays);
      }
      expect(existsSync(`${host.disk}${destination}.pem`)).toBe(false);
      expect(tokenIn(host.disk, "init-token")).toBe(initToken);
      await server.start();
      await until(async () => (await host.show("etcd.service", "ActiveState")) === "active");
      expect(tokenIn(host.disk, "init-token")).toBe("");
      expect(await etcdHealth(host)).toContain("is healthy");
    },
    2 * minute,
  );

  test(
    "starts its services with existing certificates at a later boot, and retries at once when the delay is stopped",
    async () => {
      const { server } = site.demo;
      const serial = matchingSerial(host.disk);
      await server.stop();
      await host.shutDown();
      for (const [path, file] of Object.entries(retries(600))) writeHostFile(host.disk, path, file);
      await host.boot();
      await untilRetried(host, "cert.service");
      expect(await host.show("etcd.service", "ActiveState")).toBe("active");
      expect(matchingSerial(host.disk)).toBe(serial);
      expect(await etcdHealth(host)).toContain("is healthy");
      await server.start();
      for (const unit of units) {
        await until(async () => (await delaysOf(host, unit)).at(-1)?.endsWith(" in 600 s") === true);
        await host.output("systemctl", "stop", `retry-delay@${unit}`);
        await until(async () => (await host.show(unit, "ActiveState")) === "inactive");
        expect([unit, await host.show(unit, "Result")]).toEqual([unit, "success"]);
        // The next start is not a restart, so it doesn't wait and resets the count.
        expect(Number(await host.show(unit, "NRestarts"))).toBeGreaterThan(1);
        const told = await delaysOf(host, unit);
        await host.output("systemctl", "start", unit);
        expect(await delaysOf(host, unit)).toEqual(told);
      }
      expect(matchingSerial(host.disk)).toBe(serial);
    },
    2 * minute,
  );

  test(
    "retries other manifests and runs their hooks in spite of a broken one",
    async () => {
      await using host = await createEtcdHost(site, {
        ...retries(1),
        "/etc/vault/certs.d/broken.toml": { content: "nonsense\n" },
      });
      const { server } = site.demo;
      await server.stop();
      await host.boot();
      await untilRetried(host, "cert.service");
      await server.start();
      await until(async () => (await host.show("etcd.service", "ActiveState")) === "active");
      expect(matchingSerial(host.disk)).toMatch(/^[0-9A-F]+$/);
      // Only the failure that a person has to fix is left.
      await until(async () => (await host.show("cert.service", "ActiveState")) === "failed");
      await until(() => isQuiet(host));
      expect(await host.show("cert.service", "ExecMainStatus")).toBe("78");

      const failing = '[["/bin/sh", "-c", "test -e /run/well"]]';
      changeManifest(host.disk, { key_bit_size: "384", on_change: failing });
      await host.run("systemctl", "start", "cert.service");
      await until(async () => (await host.show("cert-hooks.service", "SubState")) === "auto-restart");
      expect(await host.show("cert-hooks.service", "ExecMainStatus")).toBe("75");
    },
    2 * minute,
  );
});

/** The lines that say when a unit is retried. */
async function delaysOf(host: Machine, unit: string): Promise<readonly string[]> {
  return await host.journal([`retry-delay@${unit}`]);
}

/** Waits until a unit has ended with 75 and was restarted by the service manager. */
async function untilRetried(host: Machine, unit: string): Promise<void> {
  await until(async () => Number(await host.show(unit, "NRestarts")) > 0);
  await until(async () => (await host.show(unit, "SubState")) === "auto-restart");
  expect([unit, await host.show(unit, "ExecMainStatus")]).toEqual([unit, "75"]);
}
