import { expect, test } from "bun:test";
import { copyFileSync, lstatSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ensureBuilt } from "../../tools/build.ts";
import { ROOT } from "../../tools/main.ts";
import { until } from "../support/wait.ts";
import { lastRelease, whyNoRelease } from "../upgrade/release.ts";
import { demoSite, describeBooted } from "./bootable.ts";
import { createEtcdHost, etcdHealth } from "./etcd-host.ts";
import { changeManifest, matchingSerial, services, tokenIn, writeHostFile } from "./host.ts";
import type { Machine } from "./machine.ts";
import { isQuiet } from "./timers.ts";

const minute = 60_000;
const reason = whyNoRelease();

describeBooted("a booted machine of release 1.0.0", () => {
  const site = demoSite();

  test.skipIf(reason !== undefined)(
    `goes on with the new executables, then with the new units, and back again${reason === undefined ? "" : ` (skipped, since ${reason})`}`,
    async () => {
      const [old, dist] = await Promise.all([lastRelease(), ensureBuilt()]);
      await using host = await createEtcdHost(site);
      const install = async (executables: string, units: string) => {
        for (const name of ["renew-token", "issue-cert"]) {
          const path = `${host.disk}/usr/local/bin/${name}`;
          rmSync(path, { force: true });
          copyFileSync(join(executables, name), path);
        }
        for (const name of readdirSync(units).filter((it) => /\.(service|timer|target)$/.test(it))) {
          const content = readFileSync(join(units, name), "utf8");
          writeHostFile(host.disk, `/etc/systemd/system/${name}`, { content });
        }
      };
      const [oldUnits, newUnits] = [join(old, "units"), join(ROOT, "units")];
      await install(join(old, "dist"), oldUnits);
      await host.boot();
      expect(await host.settled()).toBe("running");
      expect(await etcdHealth(host)).toContain("is healthy");
      const steps = {
        "new executables": [dist, oldUnits],
        "new units": [dist, newUnits],
        "all old": [join(old, "dist"), oldUnits],
      };
      for (const [step, [executables = "", units = ""]] of Object.entries(steps)) {
        await install(executables, units);
        await host.output("systemctl", "daemon-reload");
        await issuesAnother(host, `${step.replace(" ", "-")}.example`);
        // And with only its init token.
        await host.output("rm", "/etc/vault/token");
        writeHostFile(host.disk, "/etc/vault/init-token", { content: site.demo.initToken, mode: 0o600 });
        await issuesAnother(host, `${step.replace(" ", "-")}-again.example`);
        expect([step, tokenIn(host.disk, "init-token")]).toEqual([step, ""]);
      }
    },
    3 * minute,
  );
});

describeBooted("a booted machine whose configuration is a link of root's to another folder", () => {
  const site = demoSite();

  test(
    "exchanges its init token, renews and issues",
    async () => {
      await using host = await createEtcdHost(site, {
        "/etc/default/vault-helper": {
          content: `VAULT_ADDR=${site.demo.server.address}\nVAULT_INIT_ROLE=demo-etcd\n`,
        },
      });
      const [etc, config] = [`${host.disk}/etc`, `${host.disk}/etc/vault/config`];
      await Bun.$`ln -sfn ../default/vault-helper ${config}`;
      await host.boot();
      expect(await host.settled()).toBe("running");
      expect([tokenIn(host.disk, "init-token"), tokenIn(host.disk, "token")]).toEqual([
        "",
        expect.stringMatching(/^(hv)?s\./),
      ]);
      await issuesAnother(host, "linked.example");
      expect(lstatSync(config).isSymbolicLink()).toBe(true);
      expect(readdirSync(`${etc}/default`)).toContain("vault-helper");
    },
    minute,
  );
});

async function issuesAnother(host: Machine, name: string): Promise<void> {
  const before = matchingSerial(host.disk);
  changeManifest(host.disk, { san_hosts: `["${name}"]` });
  await host.output("systemctl", "start", "token-renewal.service", "cert.service");
  expect(matchingSerial(host.disk)).not.toBe(before);
  await until(() => isQuiet(host));
  for (const unit of services) expect([unit, await host.show(unit, "Result")]).toEqual([unit, "success"]);
}
