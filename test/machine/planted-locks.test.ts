import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync, statSync } from "node:fs";
import { until } from "../support/wait.ts";
import { demoSite, describeBooted } from "./bootable.ts";
import { createEtcdHost } from "./etcd-host.ts";
import { changeManifest, matchingSerial } from "./host.ts";
import type { Machine } from "./machine.ts";
import { takeOver } from "./taken-over.ts";
import { isQuiet } from "./timers.ts";

const minute = 60_000;
const locks = "/run/vault-helper/sets";
const victim = "/etc/victim";
const issue = ["/usr/local/bin/issue-cert", "--config-dir", "/etc/vault/certs.d", "--timeout", "8s"];

/** Shell commands by which code in a unit that issues can replace a lock, or put something beside it. `$lock` is its path. */
const plants: Readonly<Record<string, string>> = {
  "a link to a file of root's": `rm -f "$lock"; ln -s ${victim} "$lock"`,
  "a link to nothing": `rm -f "$lock"; ln -s /etc/made "$lock"`,
  "a FIFO": `rm -f "$lock"; mkfifo "$lock"`,
  "a folder": `rm -f "$lock"; mkdir "$lock"`,
  "a second name of it": `ln -f "$lock" "$lock.more"`,
  "a file that is not empty": `echo planted > "$lock"`,
  "a new empty file": `rm -f "$lock"; : > "$lock"`,
  "a link as its journal": `ln -s ${victim} "$lock-journal"; ln -s ${victim} "$lock-wal"; ln -s ${victim} "$lock-shm"`,
  "a FIFO as its journal": `mkfifo "$lock-journal" "$lock-wal"`,
};

describeBooted("a file that code in cert.service puts among the locks", () => {
  const site = demoSite();
  let host: Machine;
  beforeAll(async () => {
    host = await createEtcdHost(site, {
      [victim]: { content: "root's own\n", mode: 0o600 },
      ...Object.fromEntries(
        Object.entries(plants).map(([name, script]) => [
          scriptOf(name),
          {
            content: `for lock in ${locks}/*.lock; do echo "plants at $lock"; ${script}; done\nls ${locks}\n`,
          },
        ]),
      ),
    });
    await host.boot();
    expect(await host.settled()).toBe("running");
  }, minute);
  afterAll(() => host[Symbol.asyncDispose]());

  let changes = 0;
  test.each(Object.keys(plants))(
    "harms neither the hooks' unit nor root's own runs: %s",
    async (name) => {
      const before = victimAsItIs(host);
      // One certificate is due, and one has pending hooks.
      changeManifest(host.disk, {
        san_hosts: `["a${++changes}.example"]`,
        on_change: '[["/usr/bin/touch", "/run/told"]]',
      });
      await host.output(...issue, "--hooks", "later");
      const serial = matchingSerial(host.disk);
      changeManifest(host.disk, {
        san_hosts: `["b${changes}.example"]`,
        on_change: '[["/usr/bin/touch", "/run/told"]]',
      });
      // Keep this run from starting the hooks' unit, which would end before the check below.
      await host.output("systemctl", "mask", "--runtime", "cert-hooks.service");
      const [said = ""] = await takeOver(host, "cert.service", `/bin/sh ${scriptOf(name)}`);
      expect(said).toStartWith(`plants at ${locks}/set-`);
      await host.output("systemctl", "unmask", "--runtime", "cert-hooks.service");

      for (const run of [
        async () => await host.run(...issue),
        async () => {
          const { code } = await host.run("systemctl", "start", "cert-hooks.service");
          const lines = await host.journal(["cert-hooks.service"]);
          return {
            code: code === 0 ? 0 : Number(await host.show("cert-hooks.service", "ExecMainStatus")),
            stderr: lines.join("\n"),
          };
        },
      ]) {
        const { code, stderr } = await run();
        expect([0, 73]).toContain(code);
        if (code === 73)
          expect(stderr).toMatch(/can't lock \/etc\/etcd\/ssl\/\S+: .*\n.*remove \/run\/vault-helper\/\S+/);
      }
      expect(victimAsItIs(host)).toBe(before);
      expect((await host.run("ls", "/etc/made")).code).not.toBe(0);

      // Do what the message says.
      await host.output("/bin/sh", "-c", `systemctl stop cert-hooks.service; rm -rf ${locks}/*`);
      await host.output(...issue);
      expect(matchingSerial(host.disk)).not.toBe(serial);
      await host.output("systemctl", "start", "cert.service");
      await until(() => isQuiet(host));
      expect(await host.show("cert.service", "Result")).toBe("success");
    },
    minute,
  );
});

function scriptOf(name: string): string {
  return `/usr/local/share/${name.replaceAll(/[ ']/g, "-")}.sh`;
}

function victimAsItIs(host: Machine): string {
  const { ino, mode, uid, nlink, mtimeMs } = statSync(host.disk + victim);
  return JSON.stringify({
    ino,
    mode,
    uid,
    nlink,
    mtimeMs,
    content: readFileSync(host.disk + victim, "utf8"),
  });
}
