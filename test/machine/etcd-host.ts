import { readFileSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../../lib/server/process.ts";
import { ROOT } from "../../tools/main.ts";
import {
  createHost,
  destination,
  dropIn,
  type HostFile,
  type Installed,
  manifest,
  manifestPath,
  timers,
} from "./host.ts";
import type { Machine } from "./machine.ts";

/** The files for the host, its server, and the tokens that this has made for it. */
interface EtcdSite {
  readonly installed: Installed;
  readonly demo: { readonly server: { readonly address: string }; readonly initToken: string };
}

/** A host with etcd, which wants `cert.target`. Our units are enabled, and the init token is not exchanged yet. */
export async function createEtcdHost(
  { installed, demo: { server, initToken } }: EtcdSite,
  files: Readonly<Record<string, HostFile>> = {},
  hostname = "etcd-1",
): Promise<Machine> {
  return await createHost(installed, {
    address: server.address,
    hostname,
    enabled: [...timers, "etcd.service"],
    files: {
      "/etc/vault/init-token": { content: `${initToken}\n`, mode: 0o600 },
      [manifestPath]: { content: manifest() },
      ...runningEtcd(),
      ...files,
    },
  });
}

/** The ports of an etcd member, and the peers of its cluster as etcd takes them: `etcd-1=https://127.0.0.1:2380,…`. */
interface EtcdPlace {
  readonly port: number;
  readonly peerPort: number;
  readonly peers: string;
}

/** The places of as many members, which are the hosts `etcd-1`, `etcd-2` … */
export function etcdPlaces(count: number): readonly EtcdPlace[] {
  const ports = freePorts(2 * count);
  const places = Array.from({ length: count }, (_, index) => ({
    port: ports[index] ?? 0,
    peerPort: ports[count + index] ?? 0,
  }));
  const peers = places.map(({ peerPort }, index) => `etcd-${index + 1}=https://127.0.0.1:${peerPort}`);
  return places.map((place) => ({ ...place, peers: peers.join(",") }));
}

/** etcd as its package starts it, with TLS, and with our example for services that need their certificate to start. */
export function runningEtcd(place = etcdPlaces(1)[0]): Readonly<Record<string, HostFile>> {
  const [client, peer] = [place?.port, place?.peerPort].map((port) => `https://127.0.0.1:${port}`);
  const tls = (prefix: string) => [
    `${prefix}CERT_FILE=${destination}.pem`,
    `${prefix}KEY_FILE=${destination}-key.pem`,
    `${prefix}TRUSTED_CA_FILE=${destination}-ca.pem`,
    `${prefix}CLIENT_CERT_AUTH=true`,
  ];
  const settings = [
    `ETCD_LISTEN_CLIENT_URLS=${client}`,
    `ETCD_ADVERTISE_CLIENT_URLS=${client}`,
    `ETCD_LISTEN_PEER_URLS=${peer}`,
    `ETCD_INITIAL_ADVERTISE_PEER_URLS=${peer}`,
    `ETCD_INITIAL_CLUSTER=${place?.peers}`,
    ...tls("ETCD_"),
    ...tls("ETCD_PEER_"),
  ];
  const example = readFileSync(join(ROOT, "units/examples/after-certificates.conf"), "utf8");
  return {
    "/etc/default/etcd": { content: `${settings.join("\n")}\n` },
    ...dropIn("etcd.service", example.replace("RestartSec=10s", "RestartSec=1s")),
  };
}

/** Asks a host's etcd with etcdctl and a client certificate. */
export async function etcdHealth(host: Machine): Promise<string> {
  const script = `. /etc/default/etcd
    ETCDCTL_API=3 etcdctl --endpoints "$ETCD_LISTEN_CLIENT_URLS" --cacert "$ETCD_TRUSTED_CA_FILE" \
      --cert "$ETCD_CERT_FILE" --key "$ETCD_KEY_FILE" endpoint health`;
  const { stdout, stderr } = await host.run("/bin/sh", "-c", script);
  return stdout + stderr;
}
