import { afterAll, beforeAll, expect, test } from "bun:test";
import { lstatSync, readFileSync, readlinkSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { describeBooted } from "./bootable.ts";
import { createHost, destination, type HostFile, type Installed, install, unitFiles } from "./host.ts";
import type { Machine } from "./machine.ts";
import { takeOver } from "./taken-over.ts";

const minute = 60_000;
const network = ["token-renewal.service", "cert.service", "cert@etcd.service"];
const metrics = "status-metrics.service";
const metricsFolder = "/var/lib/prometheus/node-exporter";
const hooks = ["cert-hooks.service", "cert-hooks@etcd.service"];
const others = ["retry-delay@x.service", "hooks-again@x.service"];
const script = "/usr/local/share/probe.pl";
const list = "/usr/local/share/attempts";
const folder = dirname(destination);

/** Files that none of our units may read. */
const secrets = [
  ...["/root/secret", "/home/user/secret", "/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-"],
  ...["/etc/ssh/ssh_host_key", "/etc/ssl/private/key.pem", "/etc/wireguard/wg0.conf", "/etc/krb5.keytab"],
  ...["/etc/NetworkManager/system-connections/vpn", "/etc/security/opasswd", "/etc/ipsec.secrets"],
  ...["/var/backups/shadow.bak", "/var/lib/cloud/instance/user-data.txt", "/etc/credstore/secret"],
];
/** Keys that only hooks may read. */
const keys = ["/etc/kubernetes/pki/ca.key", "/etc/kubernetes/admin.conf"];

const vault = ["config", "ca.pem", "client-key.pem", "certs.d", "token", "init-token"].map(
  (it) => `/etc/vault/${it}`,
);
const locks = "/run/vault-helper";

/** Files that decide what root runs and what a host trusts. */
const targets = [
  ...[
    "/etc/probe",
    "/var/lib/probe",
    "/root/probe",
    "/run/probe",
    "/etc/vault/probe",
    "/etc/kubernetes/probe",
  ],
  ...["/usr/local/bin/probe", "/usr/local/bin/issue-cert", "/usr/local/bin/renew-token", "/bin/systemctl"],
  ...[
    "/etc/systemd/system/probe.service",
    "/etc/systemd/system/cert.service",
    "/run/systemd/system/probe.service",
  ],
  ...["/etc/vault/certs.d/probe.toml", "/etc/vault/certs.d/etcd.toml", "/var/lib/vault-helper/root/probe"],
  ...[`${locks}/probe`, `${locks}/token.lock`, `${locks}/sets/probe`, `${locks}/private/probe`],
  ...[`${destination}-probe`, "/etc/kubernetes/ssl/probe", `${metricsFolder}/probe`],
].map((path) => `write:${path}`);
const attempts = [
  ...targets,
  ...vault.flatMap((path) => [
    ...(path.endsWith(".d") ? [] : [`write:${path}`]),
    `link:${path}`,
    `move:${path}`,
  ]),
  ...[`move:${locks}`, `move:${locks}/token.lock`, `move:${locks}/sets`, "move:/etc/vault", `move:${folder}`],
  ...[...secrets, ...keys, "/etc/vault/config", "/etc/vault/token", "/etc/vault/init-token"].map(
    (it) => `read:${it}`,
  ),
];

/** All that each unit may do. */
const own = ["write /tmp/probe", "write /var/tmp/probe", "run a shell"];
const manager = ["connect to /run/systemd/private", "connect to /run/dbus/system_bus_socket"];
const tokens = [
  "read /etc/vault/config",
  ...["token", "init-token"].flatMap((it) => [`write /etc/vault/${it}`, `read /etc/vault/${it}`]),
];
const destinations = [
  `write ${destination}-probe`,
  `write ${folder}/probe`,
  "write /etc/kubernetes/ssl/probe",
];
const allowed: Readonly<Record<string, readonly string[]>> = {
  "token-renewal": [...own, ...tokens, `write ${locks}/token.lock`],
  cert: [...own, ...tokens, `write ${locks}/token.lock`, `write ${locks}/sets/probe`, ...destinations],
  // It can read what it reports on, and change none of it.
  "status-metrics": [
    ...own,
    ...["config", "token", "init-token"].map((it) => `read /etc/vault/${it}`),
    `write ${metricsFolder}/probe`,
  ],
  // Hooks have to reach the service manager, so this unit has no network access.
  "cert-hooks": [
    ...[...own, ...manager, ...destinations, ...keys.map((it) => `read ${it}`), "read /etc/vault/config"],
    ...["/run/probe", "/run/lock/probe", "/run/systemd/system/probe.service"].map((it) => `write ${it}`),
    ...["probe", "token.lock", "sets/probe", "private/probe"].map((it) => `write ${locks}/${it}`),
    ...["", "/token.lock", "/sets"].map((it) => `move ${locks}${it}`),
  ],
  "retry-delay": [...own, ...manager],
  "hooks-again": [...own, ...manager],
};

/** Ways in which an admin may have stored the configuration. */
const states: Readonly<Record<string, string>> = {
  "is a file": "",
  "is missing": "cd /etc/vault && rm config ca.pem client-key.pem token init-token",
  "is a link":
    "mv /etc/vault/config /etc/default/vault-helper && ln -s ../default/vault-helper /etc/vault/config",
  "has certs.d as a link": "mv /etc/vault/certs.d /srv/certs.d && ln -s /srv/certs.d /etc/vault/certs.d",
};

describeBooted("a booted machine", () => {
  let installed: Installed;
  beforeAll(async () => {
    installed = await install();
  }, 10 * minute);
  afterAll(() => installed[Symbol.dispose]());

  test("has a line in this list for each service", () => {
    const kinds = unitFiles().filter((name) => name.endsWith(".service"));
    expect(new Set(kinds.map((name) => name.replace(/@?\.service$/, "")))).toEqual(
      new Set(Object.keys(allowed)),
    );
  });

  test.each(Object.entries(states))(
    "has tight sandboxes if its configuration %s",
    async (_, change) => {
      await using host = await probedHost(installed);
      if (change !== "") await host.output("/bin/sh", "-c", change);
      const free = doneOf((await host.output("/usr/bin/perl", script, list)).split("\n"));
      // Outside the sandboxes each attempt succeeds, so any failure inside is caused by the sandbox.
      const possible = attempts.filter((it) => !/^(read|move):/.test(it) || sizeOf(host, it.slice(5)) > 0);
      expect(possible.filter((it) => !free.includes(it.replace(":", " ")))).toEqual([]);
      expect(possible.length).toBeGreaterThan(50);

      for (const unit of [...network, metrics, ...hooks, ...others]) {
        const lines = await takeOver(host, unit, `/usr/bin/perl ${script} ${list}`);
        expect(lines.length).toBeGreaterThan(attempts.length);
        const wanted = (allowed[unit.replace(/(@.*)?\.service$/, "")] ?? []).filter((line) => {
          const [, how, path = ""] = /^(read|write) (\/etc\/vault\/.*)$/.exec(line) ?? [];
          return how === undefined || sizeOf(host, path) > (how === "read" ? 0 : -1);
        });
        expect({ unit, could: doneOf(lines).toSorted() }).toEqual({ unit, could: wanted.toSorted() });
      }
    },
    2 * minute,
  );
});

/** The attempts that succeeded, by the probe's output. */
function doneOf(lines: readonly string[]): string[] {
  return lines.filter((line) => line.endsWith(": done")).map((line) => line.slice(0, -": done".length));
}

/** The size of a file on the machine, through links; -1 if it is missing. */
function sizeOf(host: Machine, path: string): number {
  const seen = `/proc/${host.leader}/root${path}`;
  const stats = lstatSync(seen, { throwIfNoEntry: false });
  // A link's target is a path on the machine.
  return stats?.isSymbolicLink()
    ? sizeOf(host, resolve(dirname(path), readlinkSync(seen)))
    : (stats?.size ?? -1);
}

async function probedHost(installed: Installed): Promise<Machine> {
  const secret: HostFile = { content: "secret\n", mode: 0o600 };
  const host = await createHost(installed, {
    address: "http://127.0.0.1:1",
    // The test starts each unit. None starts at boot.
    enabled: [],
    files: {
      [script]: { content: readFileSync(join(import.meta.dir, "probe.pl"), "utf8") },
      ...Object.fromEntries([...secrets, ...keys].map((path) => [path, secret])),
      [list]: { content: attempts.join("\n") },
      "/etc/vault/token": secret,
      "/etc/vault/ca.pem": { content: "ca\n" },
      "/etc/vault/client-key.pem": secret,
      "/etc/vault/init-token": secret,
      "/etc/kubernetes/ssl/kept": { content: "" },
      [`${metricsFolder}/kept`]: { content: "" },
    },
  });
  try {
    await host.boot();
    // Make the lock folder, as a unit that ran before would have done.
    await host.output(
      "/bin/sh",
      "-c",
      `mkdir -p -m 0700 ${locks} ${locks}/sets ${locks}/private /var/lib/vault-helper/root && touch ${locks}/token.lock /etc/vault/certs.d/etcd.toml`,
    );
    return host;
  } catch (error) {
    await host[Symbol.asyncDispose]();
    throw error;
  }
}
