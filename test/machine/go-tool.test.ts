import { expect, test } from "bun:test";
import { lstatSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { signCsr } from "../../lib/vault/pki.ts";
import { createFromRole } from "../../lib/vault/token.ts";
import { createCsr } from "../../lib/x509/csr.ts";
import { readKey } from "../../lib/x509/key.ts";
import { ROOT } from "../../tools/main.ts";
import { openssl } from "../support/openssl.ts";
import { until } from "../support/wait.ts";
import { type DemoSite, demoSite, describeBooted } from "./bootable.ts";
import { createEtcdHost, etcdHealth } from "./etcd-host.ts";
import { changeManifest, destination, keyOf, matchingSerial, signPath, writeHostFile } from "./host.ts";
import { isQuiet } from "./timers.ts";

const minute = 60_000;
const units = ["token-renewal.service", "cert.service"];

describeBooted("a booted machine that used the Go tool", () => {
  const site = demoSite();

  test(
    "is taken over: token and key are kept, and the token's mode is narrowed",
    async () => {
      const left = await leftFiles(site);
      await using host = await createGoHost(site, left);
      await host.boot();
      expect(await host.settled()).toBe("running");
      expect(await etcdHealth(host)).toContain("is healthy");

      for (const name of units) {
        const content = readFileSync(join(ROOT, "units", name), "utf8");
        writeHostFile(host.disk, `/etc/systemd/system/${name}`, { content });
      }
      await host.output("systemctl", "daemon-reload");
      await host.output("systemctl", "start", ...units);
      expect(readFileSync(`${host.disk}/etc/vault/token`, "utf8")).toBe(left.token);
      expect(statSync(`${host.disk}/etc/vault/token`).mode & 0o777).toBe(0o600);
      const isLink = () => lstatSync(`${host.disk}${destination}.pem`).isSymbolicLink();
      expect([keyOf(host.disk) === left.key, isLink()]).toEqual([true, false]);
      const serial = matchingSerial(host.disk);

      changeManifest(host.disk, { san_hosts: '["localhost", "more.example"]' });
      await host.output("systemctl", "start", "cert.service");
      await until(() => isQuiet(host));
      expect(matchingSerial(host.disk)).not.toBe(serial);
      expect([keyOf(host.disk) === left.key, isLink()]).toEqual([true, true]);
      expect(await etcdHealth(host)).toContain("is healthy");
    },
    2 * minute,
  );
});

/** What the Go tool leaves behind on a host. */
interface LeftFiles {
  readonly token: string;
  /** In PEM, with the certificate and the CA. */
  readonly key: string;
  readonly certificate: string;
  readonly ca: string;
}

async function leftFiles({ demo: { admin, initToken } }: DemoSite): Promise<LeftFiles> {
  const { token } = await createFromRole(admin, "demo-etcd", initToken);
  const key = openssl(["genrsa", "-traditional", "2048"]);
  const names = {
    commonName: "etcd-1",
    organisations: [],
    dnsNames: ["localhost"],
    ipAddresses: ["127.0.0.1"],
  };
  const csr = createCsr(await readKey(key, "the key"), names);
  const { certificate, issuingCa } = await signCsr(admin, signPath, { csr, ...names });
  return { token, key, certificate: `${certificate}\n`, ca: `${issuingCa}\n` };
}

/** A host with a token that all can read, plain files, an empty init token file, and units that are not ours. */
async function createGoHost(site: DemoSite, { token, key, certificate, ca }: LeftFiles) {
  const content = "[Service]\nType=oneshot\nExecStart=/bin/true\n";
  return await createEtcdHost(site, {
    "/etc/vault/token": { content: token, mode: 0o644 },
    "/etc/vault/init-token": { content: "", mode: 0o600 },
    [`${destination}-key.pem`]: { content: key, mode: 0o600, owner: "etcd" },
    [`${destination}.pem`]: { content: certificate, owner: "etcd" },
    [`${destination}-ca.pem`]: { content: ca, owner: "etcd" },
    ...Object.fromEntries(units.map((name) => [`/etc/systemd/system/${name}`, { content }])),
  });
}
