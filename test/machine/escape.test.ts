import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { until } from "../support/wait.ts";
import { demoSite, describeBooted } from "./bootable.ts";
import { createEtcdHost } from "./etcd-host.ts";
import { changeManifest, matchingSerial } from "./host.ts";
import type { Machine } from "./machine.ts";
import { takeOver } from "./taken-over.ts";
import { isQuiet } from "./timers.ts";

const minute = 60_000;
const network = ["token-renewal.service", "cert.service", "cert@etcd.service"];

/** Ways to make systemctl run a program as root: variables in the configuration, and a manifest with a hook. */
const evil = "/usr/local/share/evil.sh";
const attack = `
echo took over
printf '#!/bin/sh\\nid > /root/escaped\\n' > /etc/etcd/ssl/x.sh || printf '#!/bin/sh\\nid > /root/escaped\\n' > /etc/vault/x.sh
chmod 755 /etc/etcd/ssl/x.sh /etc/vault/x.sh
for file in /etc/etcd/ssl/x.sh /etc/vault/x.sh; do
  if [ -e "$file" ]; then program=$file; fi
done
rm -f /etc/vault/config
for target in /etc/vault/config /etc/default/vault-helper; do
  printf '%s\\n' SYSTEMCTL_FORCE_BUS=1 "DBUS_SYSTEM_BUS_ADDRESS=unixexec:path=/bin/sh,argv1=$program" LD_PROFILE=libc.so.6 \
    LD_PRELOAD="$program" > $target
done
mv /etc/vault/certs.d /etc/vault/certs.away
for folder in /etc/vault/certs.d /srv/certs.d; do
  mkdir -p -m 700 $folder
  printf '%s\\n' 'sign_path = "demo/pki/etcd-k8s/sign/server"' 'common_name = "evil"' 'destination = "/etc/etcd/ssl/evil"' \
    "on_change = [['/bin/sh', '$program']]" > $folder/evil.toml
done
echo tried all
exit 0
`;

/** Ways in which an admin may have stored the configuration. */
const states: Readonly<Record<string, string>> = {
  "is a file": "true",
  "is missing": "rm /etc/vault/config",
  "is a link":
    "mv /etc/vault/config /etc/default/vault-helper && ln -s /etc/default/vault-helper /etc/vault/config",
  "is a link to nothing": "rm /etc/vault/config && ln -s /etc/default/nothing /etc/vault/config",
  "has certs.d as a link": "mv /etc/vault/certs.d /srv/certs.d && ln -s /srv/certs.d /etc/vault/certs.d",
};

describeBooted("code that takes over a unit with network access", () => {
  const site = demoSite();

  test.each(Object.entries(states))(
    "can't escape its sandbox if the configuration %s, and the units work afterwards",
    async (_, change) => {
      await using host = await createEtcdHost(site, { [evil]: { content: attack } });
      await host.boot();
      expect(await host.settled()).toBe("running");
      await host.output("/bin/sh", "-c", `cp -a /etc/vault /root/before; ${change}`);
      const before = await lookAround(host);
      for (const unit of network) {
        const said = await takeOver(host, unit, `/bin/sh ${evil}`);
        expect([unit, said[0], said.at(-1)]).toEqual([unit, "took over", "tried all"]);
        await until(() => isQuiet(host));
      }
      expect(await lookAround(host)).toBe(before);
      await host.output("/bin/sh", "-c", "rm -rf /etc/vault; mv /root/before /etc/vault");

      const serial = matchingSerial(host.disk);
      changeManifest(host.disk, {
        san_hosts: '["after.example"]',
        on_change: '[["/usr/bin/touch", "/run/told"]]',
      });
      await host.output("systemctl", "start", ...network);
      expect(matchingSerial(host.disk)).not.toBe(serial);
      await until(() => existsSync(`/proc/${host.leader}/root/run/told`));
      await until(() => isQuiet(host));
      expect(existsSync(`${host.disk}/root/escaped`)).toBe(false);
    },
    2 * minute,
  );

  test(
    "could escape with a writable file of variables",
    async () => {
      await using host = await createEtcdHost(site, { [evil]: { content: attack } });
      await host.boot();
      expect(await host.settled()).toBe("running");
      // Made writable by root, since our sandboxes never are.
      await host.output("/bin/sh", evil);
      const loaded = [
        "systemd-run",
        "--wait",
        "-p",
        "EnvironmentFile=/etc/vault/config",
        "-p",
        "UnsetEnvironment=LD_PRELOAD",
      ];
      await host.run(...loaded, "/bin/systemctl", "--no-block", "restart", "hooks-again@cert-hooks.service");
      expect(existsSync(`${host.disk}/root/escaped`)).toBe(true);
    },
    minute,
  );
});

/** All files that decide what root runs. */
async function lookAround(host: Machine): Promise<string> {
  const places = "/etc/vault /etc/default /etc/systemd /usr/local /srv /run/systemd/system";
  // The units may write the tokens.
  return await host.output(
    "/bin/sh",
    "-c",
    `find ${places} ! -name '*token' ! -path '*.service.d*' ! -path /etc/systemd/system ! -name vault -printf '%p %l %i %m %U %s %T@\\n' | sort`,
  );
}
