import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, lstatSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { signCsr } from "../../lib/vault/pki.ts";
import { createFromRole } from "../../lib/vault/token.ts";
import { createCsr } from "../../lib/x509/csr.ts";
import { readKey } from "../../lib/x509/key.ts";
import { openssl } from "../support/openssl.ts";
import { until } from "../support/wait.ts";
import { describeBooted } from "./bootable.ts";
import {
  createEtcdHost,
  destination,
  dropIn,
  etcdHealth,
  filesAsTheyAre,
  type HostFile,
  type Installed,
  install,
  manifest,
  manifestPath,
  matchingSerial,
  retries,
  services,
  signPath,
  timers,
  userOf,
  writeHostFile,
} from "./host.ts";
import type { Machine } from "./machine.ts";
import { type DemoServer, startDemoServer } from "./server.ts";
import { fireSoon, isQuiet } from "./timers.ts";

const minute = 60_000;

describeBooted("a booted machine", () => {
  let installed: Installed;
  let demo: DemoServer;
  beforeAll(async () => {
    [installed, demo] = await Promise.all([install(), startDemoServer()]);
  }, 10 * minute);
  afterAll(async () => {
    await demo[Symbol.asyncDispose]();
    installed[Symbol.dispose]();
  });

  const newHost = (files?: Readonly<Record<string, HostFile>>) =>
    createEtcdHost(installed, { address: demo.server.address, initToken: demo.initToken }, files);

  describe("at its first boot and after", () => {
    let host: Machine;
    beforeAll(async () => {
      host = await newHost();
      await host.boot();
    }, minute);
    afterAll(() => host[Symbol.asyncDispose]());

    const monotonic = async (unit: string, property: string) =>
      Number(await host.show(unit, `${property}TimestampMonotonic`));

    test("trades its init token and has its certificate, before the service that needs it starts", async () => {
      expect(await host.settled()).toBe("running");
      expect(existsSync(`${host.disk}/etc/vault/init-token`)).toBe(false);
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
        expect.stringContaining("the init token got this host a token of its own"),
        expect.stringContaining("etcd.pem issued (there is none yet)"),
        expect.stringContaining("reload etcd.service (for etcd): done"),
      ]);
    });

    test("changes nothing and says nothing when its timers fire and nothing is due", async () => {
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

    test("replaces another user's key, and has the service that reads it started again once", async () => {
      const before = {
        serial: matchingSerial(host.disk),
        key: keyOf(host),
        files: filesAsTheyAre(host.disk, "/etc/vault"),
      };
      await changeManifest(host, manifest({ key_bit_size: "384" }));
      await host.output("systemctl", "start", "cert.service");
      await until(() => isQuiet(host));
      expect(keyOf(host)).not.toBe(before.key);
      expect(matchingSerial(host.disk)).not.toBe(before.serial);
      const { uid, gid, mode } = statSync(`${host.disk}${destination}-key.pem`);
      expect({ uid, gid, mode: mode & 0o777 }).toEqual({ ...userOf(host.disk, "etcd"), mode: 0o600 });
      expect(await host.show("etcd.service", "ActiveState")).toBe("active");
      expect(await etcdHealth(host)).toContain("is healthy");
      const told = (await host.journal(["cert-hooks.service"])).filter((line) => line.endsWith(": done"));
      expect(told).toHaveLength(2);
      const run = await host.show("cert.service", "InvocationID");
      await host.output("systemctl", "restart", "etcd.service");
      expect(await host.show("cert.service", "InvocationID")).toBe(run);
    });

    test("mends the mode of another user's key", async () => {
      await host.output("sh", "-c", `chmod 0644 $(readlink -f ${destination}-key.pem)`);
      await host.output("systemctl", "start", "cert.service");
      expect(statSync(`${host.disk}${destination}-key.pem`).mode & 0o777).toBe(0o600);
    });

    test("issues elsewhere once a drop-in allows it, and runs the hooks of that", async () => {
      const elsewhere = "/etc/vault/certs.d/elsewhere.toml";
      const content = manifest({
        destination: '"/srv/tls/etcd"',
        on_change: '[["/usr/bin/touch", "/run/told"]]',
      });
      writeHostFile(host.disk, elsewhere, { content });
      await host.output("install", "-d", "-m", "0750", "-o", "etcd", "-g", "etcd", "/srv/tls");
      expect((await host.run("systemctl", "start", "cert.service")).code).not.toBe(0);
      expect(await host.show("cert.service", "ExecMainStatus")).toBe("73");
      const example = readFileSync(join(import.meta.dir, "../../units/examples/destination.conf"), "utf8");
      for (const unit of ["cert.service", "cert-hooks.service"]) {
        for (const [path, file] of Object.entries(dropIn(unit, example)))
          writeHostFile(host.disk, path, file);
      }
      await host.output("systemctl", "daemon-reload");
      await host.output("systemctl", "start", "cert.service");
      await until(() => existsSync(`/proc/${host.leader}/root/run/told`));
      await until(() => isQuiet(host));
      expect(readFileSync(`${host.disk}/srv/tls/etcd.pem`, "utf8")).toContain("BEGIN CERTIFICATE");
      expect(existsSync(`${host.disk}/srv/tls/.etcd.set/pending`)).toBe(false);
      await host.output("rm", elsewhere);
    });

    test("issues by a unit for one manifest, too", async () => {
      await changeManifest(host, manifest({ san_hosts: '["single.example"]' }));
      const before = matchingSerial(host.disk);
      await host.output("systemctl", "start", "cert@etcd.service");
      expect(matchingSerial(host.disk)).not.toBe(before);
      await until(async () => (await host.journal(["cert-hooks@etcd.service"])).length > 0);
      expect(await host.journal(["cert-hooks@etcd.service"])).toEqual([
        expect.stringContaining("reload etcd.service (for etcd): done"),
      ]);
    });
  });

  test(
    "tries again by itself, ever more rarely, for as long as the server is away, at the first boot too",
    async () => {
      await using host = await newHost(retries(1));
      await demo.server.stop();
      await using _ = { [Symbol.asyncDispose]: () => ensureUp(demo) };
      await host.boot();
      for (const unit of ["token-renewal.service", "cert.service"]) {
        await untilRetried(host, unit);
        const delays = [1, 3, 7].map((delay) =>
          expect.stringContaining(`${unit} is tried again in ${delay} s`),
        );
        await until(async () => (await delaysOf(host, unit)).length >= delays.length);
        expect((await delaysOf(host, unit)).slice(0, delays.length)).toEqual(delays);
      }
      expect(existsSync(`${host.disk}${destination}.pem`)).toBe(false);
      expect(readFileSync(`${host.disk}/etc/vault/init-token`, "utf8").trim()).toBe(demo.initToken);
      await demo.server.start();
      await until(async () => (await host.show("etcd.service", "ActiveState")) === "active");
      expect(existsSync(`${host.disk}/etc/vault/init-token`)).toBe(false);
      const serial = matchingSerial(host.disk);
      expect(await etcdHealth(host)).toContain("is healthy");

      await demo.server.stop();
      await host.shutDown();
      for (const [path, file] of Object.entries(retries(600))) writeHostFile(host.disk, path, file);
      await host.boot();
      await untilRetried(host, "cert.service");
      expect(await host.show("etcd.service", "ActiveState")).toBe("active");
      expect(matchingSerial(host.disk)).toBe(serial);
      expect(await etcdHealth(host)).toContain("is healthy");
      await demo.server.start();
      for (const service of ["token-renewal.service", "cert.service"]) {
        await until(async () => (await delaysOf(host, service)).at(-1)?.endsWith(" in 600 s") === true);
        await host.output("systemctl", "stop", `retry-delay@${service}`);
        await until(async () => (await host.show(service, "ActiveState")) === "inactive");
        expect([service, await host.show(service, "Result")]).toEqual([service, "success"]);
        // Its restarts are counted until the next start: that one is no restart, and waits for nothing.
        expect(Number(await host.show(service, "NRestarts"))).toBeGreaterThan(1);
        const told = await delaysOf(host, service);
        await host.output("systemctl", "start", service);
        expect(await delaysOf(host, service)).toEqual(told);
      }
      expect(matchingSerial(host.disk)).toBe(serial);
    },
    3 * minute,
  );

  test(
    "has one broken manifest keep no other from being tried again, nor from its hooks",
    async () => {
      await using host = await newHost({
        ...retries(1),
        "/etc/vault/certs.d/broken.toml": { content: "nonsense\n" },
      });
      await demo.server.stop();
      await using _ = { [Symbol.asyncDispose]: () => ensureUp(demo) };
      await host.boot();
      await untilRetried(host, "cert.service");
      await demo.server.start();
      await until(async () => (await host.show("etcd.service", "ActiveState")) === "active");
      expect(matchingSerial(host.disk)).toMatch(/^[0-9A-F]+$/);
      // What is left is for a person.
      await until(async () => (await host.show("cert.service", "ActiveState")) === "failed");
      await until(() => isQuiet(host));
      expect(await host.show("cert.service", "ExecMainStatus")).toBe("78");

      const failing = '[["/bin/sh", "-c", "test -e /run/well"]]';
      await changeManifest(host, manifest({ key_bit_size: "384", on_change: failing }));
      await host.run("systemctl", "start", "cert.service");
      await until(async () => (await host.show("cert-hooks.service", "SubState")) === "auto-restart");
      expect(await host.show("cert-hooks.service", "ExecMainStatus")).toBe("75");
    },
    2 * minute,
  );

  test(
    "takes over a host of the Go tool: narrows its token, and keeps token and key",
    async () => {
      const { token } = await createFromRole(demo.admin, "demo-etcd", demo.initToken);
      const key = openssl(["genrsa", "-traditional", "2048"]);
      const names = {
        commonName: "etcd-1",
        organisations: [],
        dnsNames: ["localhost"],
        ipAddresses: ["127.0.0.1"],
      };
      const csr = createCsr(await readKey(key, "the key"), names);
      const { certificate, issuingCa } = await signCsr(demo.admin, signPath, { csr, ...names });
      const old = "[Service]\nType=oneshot\nExecStart=/bin/true\n";
      const ours = (name: string) => ({
        content: readFileSync(join(import.meta.dir, "../../units", name), "utf8"),
      });
      await using host = await newHost({
        "/etc/vault/token": { content: token, mode: 0o644 },
        [`${destination}-key.pem`]: { content: key, mode: 0o600, owner: "etcd" },
        [`${destination}.pem`]: { content: `${certificate}\n`, owner: "etcd" },
        [`${destination}-ca.pem`]: { content: `${issuingCa}\n`, owner: "etcd" },
        "/etc/systemd/system/token-renewal.service": { content: old },
        "/etc/systemd/system/cert.service": { content: old },
      });
      writeHostFile(host.disk, "/etc/vault/init-token", { content: "", mode: 0o600 });
      await host.boot();
      expect(await host.settled()).toBe("running");
      const health = await etcdHealth(host);
      expect(health).toContain("is healthy");

      for (const name of ["token-renewal.service", "cert.service"]) {
        writeHostFile(host.disk, `/etc/systemd/system/${name}`, ours(name));
      }
      await host.output("systemctl", "daemon-reload");
      await host.output("systemctl", "start", "token-renewal.service", "cert.service");
      expect(readFileSync(`${host.disk}/etc/vault/token`, "utf8")).toBe(token);
      expect(statSync(`${host.disk}/etc/vault/token`).mode & 0o777).toBe(0o600);
      expect(keyOf(host)).toBe(key);
      expect(lstatSync(`${host.disk}${destination}.pem`).isSymbolicLink()).toBe(false);
      const serial = matchingSerial(host.disk);

      await changeManifest(host, manifest({ san_hosts: '["localhost", "more.example"]' }));
      await host.output("systemctl", "start", "cert.service");
      await until(() => isQuiet(host));
      expect(matchingSerial(host.disk)).not.toBe(serial);
      expect(keyOf(host)).toBe(key);
      expect(lstatSync(`${host.disk}${destination}.pem`).isSymbolicLink()).toBe(true);
      expect(await etcdHealth(host)).toContain("is healthy");
    },
    2 * minute,
  );
});

/** For the tests that come after one that failed. */
async function ensureUp({ server }: DemoServer): Promise<void> {
  if (server.pid === undefined) await server.start();
}

function keyOf(host: Machine): string {
  return readFileSync(`${host.disk}${destination}-key.pem`, "utf8");
}

async function changeManifest(host: Machine, content: string): Promise<void> {
  writeHostFile(host.disk, manifestPath, { content });
}

/** The lines that tell when a unit is tried again. */
async function delaysOf(host: Machine, unit: string): Promise<readonly string[]> {
  return await host.journal([`retry-delay@${unit}`]);
}

/** Until a unit has ended with 75 and was started again by itself. */
async function untilRetried(host: Machine, unit: string): Promise<void> {
  await until(async () => Number(await host.show(unit, "NRestarts")) > 0);
  await until(async () => (await host.show(unit, "SubState")) === "auto-restart");
  expect([unit, await host.show(unit, "ExecMainStatus")]).toEqual([unit, "75"]);
}
