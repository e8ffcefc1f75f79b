#!/usr/bin/env bun
import { defaultConfigDir, runHostStatus } from "../lib/cli/host-status.ts";
import { commonArgs, hostArgs, runScript, type Script } from "../lib/cli/script.ts";

const args = {
  "config-dir": {
    type: "string",
    description: "folder of the manifests",
    default: defaultConfigDir,
    valueHint: "FOLDER",
  },
  destination: {
    type: "string",
    list: true,
    description: "a certificate that no manifest speaks of, by its path as issue-cert has it",
    valueHint: "PATHS",
  },
  "config-path": hostArgs["config-path"],
  offline: { type: "boolean", description: "ask no server" },
  json: { type: "boolean", description: "all that is known as one JSON object" },
  prometheus: {
    type: "string",
    description: "write metrics for node_exporter's textfile collector, too",
    valueHint: "FILE.prom",
  },
  ...commonArgs,
} as const;

export const status: Script<typeof args> = {
  name: "status",
  description: "tell how this host's token, certificates, hooks and timers stand; changes nothing",
  args,
  examples: [
    ["status", "this host, by its manifests in /etc/vault/certs.d"],
    ["status --destination /etc/kubernetes/ssl/kubelet", "a certificate of a direct call, too"],
    [
      "status --log-level 0 --prometheus /var/lib/prometheus/node-exporter/vault-helper.prom",
      "metrics, and nothing printed",
    ],
    ["status --offline --json", "what the host's own files tell, for a machine"],
  ],
  exitCodes: [
    [1, "something is wrong"],
    [2, "something is due, and nothing is wrong"],
  ],
  run: runHostStatus,
};

if (import.meta.main) void runScript(status);
