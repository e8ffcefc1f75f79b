import { type ManifestHost, startManifestHost } from "../manifest/certs.ts";
import type { ClusterServer } from "../support/cluster-server.ts";

/** Issues all certificates of the host's manifests, with a token that may use every role. */
export async function issueAll(cluster: ClusterServer, host: ManifestHost, ...args: string[]): Promise<void> {
  const issued = await host.run("issue-cert", ["--config-dir", host.certs, ...args], {
    VAULT_TOKEN: cluster.rootToken,
  });
  if (issued.code !== 0) throw new Error(issued.stderr);
}

export const ask = (host: ManifestHost, ...args: string[]) =>
  host.run("status", ["--config-dir", host.certs, ...args]);

/** The findings in short, such as `wrong certificate etcd: it has expired`. */
export async function findings(host: ManifestHost, ...args: string[]) {
  const { code, stdout } = await ask(host, "--json", ...args);
  const all = JSON.parse(stdout);
  const words = (name: string, { state, reasons }: { state: string; reasons: string[] }) =>
    state === "ok" && reasons.length === 0 ? [] : [`${state} ${name}: ${reasons.join("; ")}`];
  const told = [
    ...["server", "clock", "token"].flatMap((name) => words(name, all[name])),
    ...["manifests", "hooks", "units", "permission"].flatMap((name) =>
      all[name].flatMap((one: never) => words(name, one)),
    ),
    ...all.certificates.flatMap((one: never) => words(`certificate ${Object(one).name}`, one)),
  ];
  return { code, told, all };
}

/** The command that issues what is due, with this host's configuration folder, which is not the default one. */
export const issueCommand = (host: ManifestHost) =>
  `issue-cert --config-path ${host.config} --config-dir ${host.certs}`;

/** A host with one certificate, `etcd`. */
export async function startHostWithOne(
  cluster: ClusterServer,
  fields = "",
  fault?: Parameters<typeof startManifestHost>[1],
) {
  const host = await startManifestHost(cluster, fault);
  host.write("etcd", fields);
  await issueAll(cluster, host);
  host.relay.reset();
  return host;
}
