import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describeBooted } from "./bootable.ts";
import { createEtcdHost } from "./etcd-host.ts";
import { destination, dropIn, type Installed, install, services, writeHostFile } from "./host.ts";

const minute = 60_000;
/** What the units would ask of a server is no matter here. */
const nobody = { server: { address: "http://127.0.0.1:1" }, initToken: "not asked for" };

describeBooted("a booted machine", () => {
  let installed: Installed;
  beforeAll(async () => {
    installed = await install();
  }, 10 * minute);
  afterAll(() => installed[Symbol.dispose]());

  test(
    "has sandboxes that hold",
    async () => {
      const script = "/usr/local/share/probe.pl";
      const targets = [
        "/etc/probe",
        "/etc/systemd/system/probe.service",
        "/usr/local/bin/probe",
        "/var/lib/probe",
        "/etc/vault/config",
        "/etc/vault/certs.d/probe.toml",
        "/etc/vault/probe",
        `${destination}-probe`,
        "/run/probe",
        "/root/probe",
      ];
      await using host = await createEtcdHost(
        { installed, demo: nobody },
        {
          [script]: { content: readFileSync(join(import.meta.dir, "probe.pl"), "utf8") },
          "/root/secret": { content: "secret\n" },
          "/home/user/secret": { content: "secret\n" },
        },
      );
      await host.boot();
      const probe = async (unit: string) => {
        const name = `probe-${unit.replace("@", "")}`;
        const text = readFileSync(join(import.meta.dir, "../../units", unit), "utf8");
        const mine = [
          "[Service]",
          "ExecStart=",
          `ExecStart=/usr/bin/perl ${script} ${targets.join(" ")}`,
          "ExecStopPost=",
          "Restart=no",
          "StandardOutput=journal",
        ];
        writeHostFile(host.disk, `/etc/systemd/system/${name}`, { content: text });
        for (const [path, file] of Object.entries(dropIn(name, `${mine.join("\n")}\n`))) {
          writeHostFile(host.disk, path, file);
        }
        await host.output("systemctl", "daemon-reload");
        await host.output("systemctl", "start", name);
        const lines = await host.journal([name]);
        expect(lines.length).toBeGreaterThan(targets.length);
        return lines.filter((line) => line.endsWith(": done")).map((line) => line.slice(0, -": done".length));
      };

      const free = (await host.output("/usr/bin/perl", script, ...targets)).split("\n");
      const onMounts = /^write \/run\/(host|credentials)\//;
      expect(free.filter((line) => !line.endsWith(": done") && !onMounts.test(line))).toEqual([]);
      expect(free.length).toBeGreaterThanOrEqual(targets.length + 9);

      const outcome: Record<string, readonly string[]> = {};
      for (const unit of [...services, "retry-delay@.service"]) outcome[unit] = await probe(unit);
      const own = ["write /tmp/probe", "write /var/tmp/probe"];
      const inDestination = [`write ${destination}-probe`, `write ${dirname(destination)}/probe`];
      expect(outcome).toEqual({
        "token-renewal.service": ["write /etc/vault/probe", ...own, "run a shell"],
        "cert.service": ["write /etc/vault/probe", ...inDestination, ...own, "run a shell"],
        // Whoever tells services has to reach the manager: that is why nothing from the network gets in there.
        "cert-hooks.service": [
          `write ${destination}-probe`,
          "write /run/probe",
          "write /tmp/probe",
          "write /run/lock/probe",
          `write ${dirname(destination)}/probe`,
          "write /var/tmp/probe",
          "connect to /run/systemd/private",
          "connect to /run/dbus/system_bus_socket",
          "run a shell",
        ],
        "retry-delay@.service": [
          ...own,
          "connect to /run/systemd/private",
          "connect to /run/dbus/system_bus_socket",
          "run a shell",
        ],
      });
    },
    2 * minute,
  );
});
