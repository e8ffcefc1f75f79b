#!/usr/bin/env bun
import { clusterFileArgs } from "../lib/cli/cluster-file.ts";
import { defaultConfigDir, runHostStatus } from "../lib/cli/host-status.ts";
import { commonArgs, general, hostArgs, runScript, type Script } from "../lib/cli/script.ts";
import { validityArgs } from "../lib/cli/validity-args.ts";

const args = {
  cluster: {
    type: "positional",
    required: false,
    description: "a cluster's id: show that cluster's status in the server, with an admin's token",
  },
  config: {
    ...clusterFileArgs.config,
    description: "compare the cluster with this cluster file; without it, with the last one",
  },
  ...validityArgs,
  "config-dir": {
    type: "string",
    description: "folder of the manifests",
    default: defaultConfigDir,
    valueHint: "FOLDER",
    group: "Host",
  },
  destination: {
    type: "string",
    list: true,
    description: "also a certificate without a manifest, by the destination that issue-cert was given",
    valueHint: "PATHS",
    group: "Host",
  },
  "config-path": hostArgs["config-path"],
  offline: { type: "boolean", description: "ask no server", group: "Host" },
  prometheus: {
    type: "string",
    description: "also write metrics for node_exporter's textfile collector",
    valueHint: "FILE.prom",
    group: general,
  },
  json: { type: "boolean", description: "print everything known as one JSON object", group: general },
  ...commonArgs,
  timeout: {
    type: "string",
    description: "time limit of the whole run; default 60s, and 10m for a cluster",
    valueHint: "DURATION",
    group: general,
  },
} as const;

/** Whether the arguments name a cluster, rather than this host. */
function isOfCluster({
  cluster,
  config,
}: Readonly<Record<"cluster" | "config", string | undefined>>): boolean {
  return cluster !== undefined || config !== undefined;
}

export const status: Script<typeof args> = {
  name: "status",
  description:
    "show the status of this host's token, certificates, hooks and timers, or of a cluster; changes nothing",
  args,
  examples: [
    ["status", "show this host's status, with its manifests in /etc/vault/certs.d"],
    ["status --destination /etc/kubernetes/ssl/kubelet", "include a certificate of a direct call"],
    [
      "status --log-level 0 --prometheus /var/lib/prometheus/node-exporter/vault-helper.prom",
      "write metrics, print nothing",
    ],
    [
      "status demo",
      "show cluster demo in the server: CAs, what set-up would change, init tokens, host tokens",
    ],
    [
      "status --prometheus /var/lib/prometheus/node-exporter/demo.prom demo",
      "write metrics of its CAs as well",
    ],
    ["status --max-validity-components 7d demo", "the same, for a cluster that was set up with that flag"],
    ["status --offline --json", "use only the host's own files, and print JSON"],
  ],
  exitCodes: [
    [1, "something is wrong"],
    [2, "something is due, but nothing is wrong"],
  ],
  // While a CA is rotated, every certificate of its mount is read.
  timeLimit: (args) => (isOfCluster(args) ? "10m" : commonArgs.timeout.default),
  async run(args, run) {
    if (!isOfCluster(args)) return await runHostStatus(args, run);
    const { runClusterStatus } = await import("../lib/cli/cluster-status.ts");
    return await runClusterStatus(args, run);
  },
};

if (import.meta.main) void runScript(status);
