#!/usr/bin/env bun
import { runTool } from "../lib/cli/run-tool.ts";
import { type Commands, command, type Tool } from "../lib/cli/tool.ts";

/** Each command is loaded only when it is called, so that a token renewal loads nothing that only others need. */
const commands: Commands = {
  setup: async () => command((await import("./setup.ts")).setup),
  "setup-mounts": async () => command((await import("./setup-mounts.ts")).setupMounts),
  "write-roles": async () => command((await import("./write-roles.ts")).writeRoles),
  "rotate-ca": async () => command((await import("./rotate-ca.ts")).rotateCa),
  "renew-token": async () => command((await import("./renew-token.ts")).renewToken),
  "issue-cert": async () => command((await import("./issue-cert.ts")).issueCert),
  "write-kubeconfig": async () => command((await import("./write-kubeconfig.ts")).writeKubeconfig),
  "read-secret": async () => command((await import("./read-secret.ts")).readSecret),
  "dev-server": async () => command((await import("./dev-server.ts")).devServer),
  status: async () => command((await import("./status.ts")).status),
  teardown: async () => command((await import("./teardown.ts")).teardown),
};

export const vaultHelper: Tool = {
  name: "vault-helper",
  description: "gives every host of a Kubernetes cluster its certificates from Vault or OpenBao",
  commands,
  aliases: { cert: "issue-cert", kubeconfig: "write-kubeconfig", read: "read-secret" },
  groups: {
    "For a cluster's admin": ["setup", "setup-mounts", "write-roles", "rotate-ca", "teardown", "dev-server"],
    "On a host": ["renew-token", "issue-cert", "write-kubeconfig", "read-secret", "status"],
  },
  examples: [
    ["vault-helper setup --dry-run demo", "show what set-up would change for cluster demo"],
    ["vault-helper renew-token --init-role demo-worker", "get a host token, and renew it from then on"],
    [
      "vault-helper issue-cert demo/pki/etcd-k8s/sign/server $(hostname) /etc/etcd/ssl/etcd",
      "issue an etcd member's certificate",
    ],
  ],
};

if (import.meta.main) void runTool(vaultHelper);
