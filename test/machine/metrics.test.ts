import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { readAsPrometheus } from "../metrics/prometheus.ts";
import { until } from "../support/wait.ts";
import { demoSite, describeBooted } from "./bootable.ts";
import { createHost, destination, manifest, timers } from "./host.ts";
import type { Machine } from "./machine.ts";
import { isQuiet } from "./timers.ts";

const minute = 60_000;
const folder = "/var/lib/prometheus/node-exporter";
const unit = "status-metrics.service";

describeBooted("the metrics of a booted machine", () => {
  const site = demoSite();
  let host: Machine;
  beforeAll(async () => {
    const { installed, demo } = site;
    host = await createHost(installed, {
      address: demo.server.address,
      enabled: [...timers, "status-metrics.timer"],
      files: {
        "/etc/vault/init-token": { content: `${demo.initToken}\n`, mode: 0o600 },
        "/etc/vault/certs.d/etcd.toml": { content: manifest() },
        [`${folder}/other.prom`]: { content: "" },
      },
    });
    // As a package makes it for a program with its own user.
    await host.boot();
    await host.output("chown", "-R", "etcd:etcd", "/var/lib/prometheus");
    await until(() => isQuiet(host));
  }, 5 * minute);
  afterAll(() => host[Symbol.asyncDispose]());

  /** The metrics that a run of the unit writes. */
  const written = async () => {
    rmSync(`${host.disk}${folder}/vault-helper.prom`, { force: true });
    await host.output("systemctl", "start", unit);
    return await readAsPrometheus(readFileSync(`${host.disk}${folder}/vault-helper.prom`, "utf8"));
  };

  test(
    "are those of the host's status without units, and leave no line in the journal",
    async () => {
      const { problems, metrics } = await written();
      expect(problems).toBeNull();
      const ok = metrics.vault_helper_certificate_status?.find(({ value }) => value === 1);
      expect(ok?.labels).toEqual({ name: "etcd", path: destination, state: "ok" });
      expect(metrics.vault_helper_server_up).toEqual([{ labels: {}, value: 1 }]);
      expect(metrics.vault_helper_token_expiry_timestamp_seconds).toHaveLength(1);
      const ofHost = metrics.vault_helper_status?.find(({ value }) => value === 1);
      expect(ofHost?.labels).toEqual({ state: "ok" });
      expect(Object.keys(metrics).filter((name) => /_unit_|_timer/.test(name))).toEqual([]);
      expect(readdirSync(host.disk + folder).sort()).toEqual(["other.prom", "vault-helper.prom"]);
      expect(await host.journal([unit])).toEqual([]);
    },
    2 * minute,
  );

  test(
    "report a fault, and the unit still succeeds",
    async () => {
      await host.output("rm", `${destination}.pem`);
      const { metrics } = await written();
      const wrong = metrics.vault_helper_certificate_status?.find(({ value }) => value === 1);
      expect(wrong?.labels).toEqual({ name: "etcd", path: destination, state: "wrong" });
      expect([await host.show(unit, "Result"), await host.show(unit, "ExecMainStatus")]).toEqual([
        "success",
        "1",
      ]);
    },
    2 * minute,
  );

  test("fail if node_exporter's folder is missing", async () => {
    await host.output("rm", "-r", "/var/lib/prometheus");
    expect((await host.run("systemctl", "start", unit)).code).not.toBe(0);
    expect(await host.show(unit, "Result")).toBe("exit-code");
  });
});
