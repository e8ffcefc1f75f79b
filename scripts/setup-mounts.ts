#!/usr/bin/env bun
import { clusterOf, mountArgs, setupArgs } from "../lib/cli/cluster-args.ts";
import { runSetup, type SetupJob } from "../lib/cli/run-setup.ts";
import { runScript, type Script } from "../lib/cli/script.ts";
import { planMounts } from "../lib/cluster/setup-plan.ts";

const args = { ...mountArgs, ...setupArgs } as const;

export const setupMounts: Script<typeof args> = {
  name: "setup-mounts",
  description: "give a cluster its mounts and CAs in Vault; safe to run again",
  args,
  examples: [
    ["setup-mounts demo", "set up the mounts and CAs of cluster demo, or fix what differs"],
    ["setup-mounts --dry-run demo", "show what would change"],
    ["setup-mounts --max-validity-ca 10y demo", "make CAs that are valid for ten years"],
    ["setup-mounts --config cluster.toml", "set up what a cluster file describes; it has the cluster's id"],
    ["setup-mounts --print-policy demo", "print the policy that the token needs, to do without a root token"],
  ],
  exitCodes: [[2, "with --check: something would change, or a CA is due"]],
  async run(args, run) {
    const job: SetupJob = { what: "mounts and CAs", halves: ["mounts"], makePlan: planMounts };
    return await runSetup(clusterOf(args), job, args, run);
  },
};

if (import.meta.main) void runScript(setupMounts);
