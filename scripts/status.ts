#!/usr/bin/env bun
import { clusterFileArgs } from "../lib/cli/cluster-file.ts";
import { defaultConfigDir, runHostStatus } from "../lib/cli/host-status.ts";
import { commonArgs, general, hostArgs, runScript, type Script } from "../lib/cli/script.ts";
import { validityArgs } from "../lib/cli/validity-args.ts";

const args = {
  cluster: {
    type: "positional",
    required: false,
    description: "a cluster's id: tells how it stands in the server, with an admin's token",
  },
  config: { ...clusterFileArgs.config, description: "compare the cluster with this file, not with its last" },
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
    description: "a certificate that no manifest speaks of, by its path as issue-cert has it",
    valueHint: "PATHS",
    group: "Host",
  },
  "config-path": hostArgs["config-path"],
  offline: { type: "boolean", description: "ask no server", group: "Host" },
  prometheus: {
    type: "string",
    description: "write metrics for node_exporter's textfile collector, too",
    valueHint: "FILE.prom",
    group: "Host",
  },
  json: { type: "boolean", description: "all that is known as one JSON object", group: general },
  ...commonArgs,
} as const;

export const status: Script<typeof args> = {
  name: "status",
  description:
    "tell how this host's token, certificates, hooks and timers stand, or a cluster; changes nothing",
  args,
  examples: [
    ["status", "this host, by its manifests in /etc/vault/certs.d"],
    ["status --destination /etc/kubernetes/ssl/kubelet", "a certificate of a direct call, too"],
    [
      "status --log-level 0 --prometheus /var/lib/prometheus/node-exporter/vault-helper.prom",
      "metrics, and nothing printed",
    ],
    ["status demo", "cluster demo in the server: CAs, what set-up would change, init tokens, hosts' tokens"],
    ["status --max-validity-components 7d demo", "the same, of a cluster that was set up with that flag"],
    ["status --offline --json", "what the host's own files tell, for a machine"],
  ],
  exitCodes: [
    [1, "something is wrong"],
    [2, "something is due, and nothing is wrong"],
  ],
  async run(args, run) {
    if (args.cluster === undefined && args.config === undefined) return await runHostStatus(args, run);
    const { runClusterStatus } = await import("../lib/cli/cluster-status.ts");
    return await runClusterStatus(args, run);
  },
};

if (import.meta.main) void runScript(status);
