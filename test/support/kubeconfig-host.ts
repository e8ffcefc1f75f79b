import { expect } from "bun:test";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "yaml";
import type { ClusterServer } from "./cluster-server.ts";
import { startHost } from "./host.ts";

export const signPath = "demo/pki/k8s/sign/kube-scheduler";
export const commonName = "system:kube-scheduler";
export const api = "https://api.example.com:6443";

/** A master with its host token, and the path of its kubeconfig, whose folder is missing. */
export async function startMaster(cluster: ClusterServer) {
  const host = startHost(cluster.address);
  host.put("token", await cluster.hostToken("master"));
  const path = join(host.path, "kube", "config");
  return Object.assign(host, { kubeconfig: path });
}
export type Master = Awaited<ReturnType<typeof startMaster>>;

export const words = (host: Master) => [signPath, commonName, host.destination, host.kubeconfig];
export const write = (host: Master, ...flags: string[]) =>
  host.run("write-kubeconfig", [...flags, ...words(host)]);

export async function written(host: Master, ...flags: string[]) {
  const run = await write(host, ...flags);
  expect([run.code, run.stderr]).toEqual([0, ""]);
  return parse(host.read(host.kubeconfig));
}

/** The content of the certificate's three files, as a kubeconfig embeds it. */
export function dataOf(host: Master) {
  const data = (suffix: string) => Buffer.from(host.read(host.destination + suffix)).toString("base64");
  return { ca: data("-ca.pem"), certificate: data(".pem"), key: data("-key.pem") };
}

export function expectEmbedded(host: Master, kubeconfig = parse(host.read(host.kubeconfig))) {
  const { ca, certificate, key } = dataOf(host);
  expect(kubeconfig.clusters[0].cluster["certificate-authority-data"]).toBe(ca);
  expect(kubeconfig.users[0].user).toEqual({
    "client-certificate-data": certificate,
    "client-key-data": key,
  });
}

/** Writes the kubeconfig that is there before a run. */
export function put(host: Master, text: string, mode = 0o600) {
  mkdirSync(dirname(host.kubeconfig), { recursive: true });
  writeFileSync(host.kubeconfig, text);
  chmodSync(host.kubeconfig, mode);
}
