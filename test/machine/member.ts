import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "../../tools/main.ts";
import { createHost, type Installed, timers, writeHostFile } from "./host.ts";
import { createMachine, type Machine } from "./machine.ts";
import { machineTree } from "./tree.ts";

/** The path of the certificate that a Kubernetes master presents to etcd. */
export const clientFiles = "/etc/kubernetes/ssl/etcd-client";

/** The blanks in the shipped user-data. */
export interface Site {
  readonly vault: { readonly address: string; readonly ca: string };
  readonly initToken: string;
  readonly release: { readonly url: string; readonly sha256: string };
  /** A separate address for each member, since all share this machine's loopback. */
  readonly ports: ReadonlyArray<{ readonly client: number; readonly peer: number }>;
}

/** The shipped user-data with all blanks filled in. */
export function userData(site: Site, member: number): string {
  const shipped = readFileSync(join(ROOT, "units/cloud-init.yaml"), "utf8");
  const mine = site.ports[member - 1];
  if (mine === undefined) throw new Error(`there is no member ${member}`);
  const replacements: ReadonlyArray<readonly [string | RegExp, string]> = [
    ["https://vault.example.com:8200", site.vault.address],
    [/-----BEGIN[\s\S]*END CERTIFICATE-----/, site.vault.ca.trim().replaceAll("\n", "\n      ")],
    ["the-init-token", site.initToken],
    [/https:\/\/releases\.example\.com\/\S+/, site.release.url],
    ["0".repeat(64), site.release.sha256],
    ...site.ports.map(
      ({ peer }, index) => [`etcd-${index + 1}.example.com:2380`, `127.0.0.1:${peer}`] as const,
    ),
    ...["0.0.0.0", "%H.example.com"].flatMap((name) => [
      [`${name}:2379`, `127.0.0.1:${mine.client}`] as const,
      [`${name}:2380`, `127.0.0.1:${mine.peer}`] as const,
    ]),
  ];
  return replacements.reduce((text, [blank, value]) => {
    const filled = text.replace(blank, () => value);
    if (filled === text) throw new Error(`the user-data have no ${blank}`);
    return filled;
  }, shipped);
}

/** A host before its first boot, with an image without vault-helper, and with user-data. */
export async function createMember(site: Site, member: number): Promise<Machine> {
  const seed = "/var/lib/cloud/seed/nocloud";
  const hostname = `etcd-${member}`;
  return await createMachine({
    layers: [await machineTree()],
    hostname,
    prepare(disk) {
      rmSync(`${disk}/etc/cloud/cloud-init.disabled`);
      writeHostFile(disk, `${seed}/user-data`, { content: userData(site, member), mode: 0o600 });
      writeHostFile(disk, `${seed}/meta-data`, {
        content: `instance-id: ${hostname}\nlocal-hostname: ${hostname}\n`,
      });
    },
  });
}

/** A host with the role of Kubernetes masters, and their client certificate for etcd. */
export async function createMaster(
  installed: Installed,
  { vault }: Site,
  initToken: string,
): Promise<Machine> {
  const config = `VAULT_ADDR=${vault.address}\nVAULT_CACERT=/etc/vault/ca.pem\nVAULT_INIT_ROLE=demo-master\n`;
  const host = await createHost(installed, {
    address: vault.address,
    hostname: "master-1",
    enabled: timers,
    files: {
      "/etc/vault/config": { content: config, mode: 0o600 },
      "/etc/vault/ca.pem": { content: vault.ca },
      "/etc/vault/init-token": { content: initToken, mode: 0o600 },
      "/etc/vault/certs.d/etcd-client.toml": {
        content: `sign_path = "demo/pki/etcd-k8s/sign/client"\ncommon_name = "%H"\ndestination = "${clientFiles}"\n`,
      },
    },
  });
  mkdirSync(host.disk + dirname(clientFiles), { recursive: true });
  return host;
}
