#!/usr/bin/env bun
import { runTool } from "../lib/cli/run-tool.ts";
import { type Commands, command, type Tool } from "../lib/cli/tool.ts";

/** Each is loaded when it is called: a token renewal reads nothing of what the others need. */
const commands: Commands = {
  setup: async () => command((await import("./setup.ts")).setup),
  "setup-mounts": async () => command((await import("./setup-mounts.ts")).setupMounts),
  "write-roles": async () => command((await import("./write-roles.ts")).writeRoles),
  "renew-token": async () => command((await import("./renew-token.ts")).renewToken),
  "issue-cert": async () => command((await import("./issue-cert.ts")).issueCert),
  "write-kubeconfig": async () => command((await import("./write-kubeconfig.ts")).writeKubeconfig),
  "read-secret": async () => command((await import("./read-secret.ts")).readSecretScript),
  "dev-server": async () => command((await import("./dev-server.ts")).devServer),
  status: async () => command((await import("./status.ts")).status),
  teardown: async () => command((await import("./teardown.ts")).teardown),
};

export const vaultHelper: Tool = {
  name: "vault-helper",
  description: "gives every machine of a Kubernetes cluster its certificates from Vault or OpenBao",
  commands,
  aliases: { cert: "issue-cert", kubeconfig: "write-kubeconfig", read: "read-secret" },
  groups: {
    "For a cluster's admin": ["setup", "setup-mounts", "write-roles", "teardown", "dev-server"],
    "On a host": ["renew-token", "issue-cert", "write-kubeconfig", "read-secret", "status"],
  },
  examples: [
    ["vault-helper setup --dry-run demo", "show what cluster demo lacks in the server"],
    [
      "vault-helper renew-token --init-role demo-worker",
      "give a host a token of its own, then keep that alive",
    ],
    [
      "vault-helper issue-cert demo/pki/etcd-k8s/sign/server $(hostname) /etc/etcd/ssl/etcd",
      "have an etcd member's key signed",
    ],
  ],
};

if (import.meta.main) void runTool(vaultHelper);
