import { X509Certificate } from "node:crypto";
import { signCsr } from "../../lib/vault/pki.ts";
import { newCsr } from "../faults/authority.ts";
import { openssl } from "../support/openssl.ts";
import { writeHostFile } from "./host.ts";
import type { Machine } from "./machine.ts";
import type { DemoServer } from "./server.ts";

/** How a program inside a machine reaches etcd. */
export interface EtcdClient {
  readonly host: Machine;
  readonly endpoints: readonly string[];
  /** The path of its certificate inside the machine, like a manifest's `destination`. @default no certificate */
  readonly certificate?: string;
  readonly caFile: string;
}

/** Runs etcdctl, which gives up after two seconds. */
export async function etcdctl(
  client: EtcdClient,
  ...args: string[]
): Promise<{ code: number; text: string }> {
  const command = ["etcdctl", "--command-timeout=2s", ...args];
  const environment = etcdctlEnvironment(client);
  const { code, stdout, stderr } = await client.host.run("/usr/bin/env", ...environment, ...command);
  return { code, text: (stdout + stderr).trim() };
}

export function etcdctlEnvironment({ endpoints, certificate, caFile }: EtcdClient): string[] {
  return [
    "ETCDCTL_API=3",
    `ETCDCTL_ENDPOINTS=${endpoints.join(",")}`,
    `ETCDCTL_CACERT=${caFile}`,
    ...(certificate === undefined
      ? []
      : [`ETCDCTL_CERT=${certificate}.pem`, `ETCDCTL_KEY=${certificate}-key.pem`]),
  ];
}

/** Puts a client certificate from another CA of the cluster on a host. Returns the path of its files. */
export async function writeForeignCertificate({ admin }: DemoServer, { disk }: Machine): Promise<string> {
  const { key, csr } = newCsr("foreign");
  const names = { commonName: "foreign", organisations: [], dnsNames: [], ipAddresses: [] };
  const { certificate } = await signCsr(admin, "demo/pki/etcd-overlay/sign/client", { csr, ...names });
  writeHostFile(disk, "/root/foreign-key.pem", { content: key, mode: 0o600 });
  writeHostFile(disk, "/root/foreign.pem", { content: `${certificate}\n` });
  return "/root/foreign";
}

/** The serial number of the certificate that a member presents now. */
export function servedBy(port: number, { host, certificate }: EtcdClient): string {
  const files = ["-cert", `${host.disk}${certificate}.pem`, "-key", `${host.disk}${certificate}-key.pem`];
  const shown = openssl(["s_client", "-connect", `127.0.0.1:${port}`, ...files]);
  return new X509Certificate(/-----BEGIN[\s\S]*END CERTIFICATE-----/.exec(shown)?.[0] ?? "").serialNumber;
}
