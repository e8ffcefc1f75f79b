import { expect } from "bun:test";
import { certificatePaths } from "../../lib/host/certificate-place.ts";
import { isFor, readCertificates } from "../../lib/x509/certificate.ts";
import { readKey } from "../../lib/x509/key.ts";
import type { ClusterServer } from "../support/cluster-server.ts";
import { type Host, startHost } from "../support/host.ts";
import { openssl } from "../support/openssl.ts";
import type { Fault } from "../support/relay.ts";

export const kubelet = "demo/pki/k8s/sign/kubelet";
export const commonName = "system:node:worker-1";

/** A worker with its host token. */
export async function startWorkerOf(cluster: ClusterServer, fault?: Fault): Promise<Host> {
  const host = startHost(cluster.address, fault);
  host.put("token", await cluster.hostToken("worker"));
  return host;
}

export const issue = (host: Host, ...flags: string[]) =>
  host.run("issue-cert", [...flags, kubelet, commonName, host.destination]);

/** The variables of an admin, who may use every path. */
export const issueAsAdmin = (cluster: ClusterServer, host: Host, path: string, ...more: string[]) =>
  host.run("issue-cert", [path, commonName, host.destination, ...more], { VAULT_TOKEN: cluster.rootToken });

function verify(host: Host): string {
  const { certificate, ca } = certificatePaths(host.destination);
  return openssl(["verify", "-CAfile", ca, "-untrusted", certificate, certificate]);
}

export async function expectMatching(host: Host): Promise<void> {
  const { key, certificate } = certificatePaths(host.destination);
  const [leaf] = readCertificates(host.read(certificate), "it");
  expect(isFor(leaf, (await readKey(host.read(key), "it")).key)).toBe(true);
  expect(verify(host)).toContain(": OK");
}

export const stamp = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d UTC`;
