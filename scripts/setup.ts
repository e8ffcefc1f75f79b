#!/usr/bin/env bun
import { clusterOf, mountArgs, roleArgs, setupArgs } from "../lib/cli/cluster-args.ts";
import { runSetup, type SetupJob } from "../lib/cli/run-setup.ts";
import { runScript, type Script } from "../lib/cli/script.ts";
import { planSetup } from "../lib/cluster/setup-plan.ts";

const args = { ...mountArgs, ...roleArgs, ...setupArgs } as const;

export const setup: Script<typeof args> = {
  name: "setup",
  description:
    "give a cluster everything it needs in Vault: setup-mounts and write-roles in one; safe to run again",
  args,
  examples: [
    ["setup demo", "set up cluster demo, or fix what differs, and renew its init tokens"],
    ["setup --dry-run demo", "show what would change, and change nothing"],
    [
      "setup --max-validity-ca 10y --max-validity-components 7d demo",
      "make CAs for ten years; certificates are valid for a week",
    ],
    ["setup --config cluster.toml", "set up what a cluster file describes; it has the cluster's id"],
    [
      "setup --print-policy demo | vault policy write demo-setup -",
      "write a policy for a token that may set up demo without being root",
    ],
  ],
  exitCodes: [[2, "with --check: something would change, or a CA is due"]],
  async run(args, run) {
    const what = "mounts, CAs, roles, secrets, policies and tokens";
    const job: SetupJob = { what, halves: ["mounts", "roles"], makePlan: planSetup };
    return await runSetup(clusterOf(args), job, args, run);
  },
};

if (import.meta.main) void runScript(setup);
