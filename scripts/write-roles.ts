#!/usr/bin/env bun
import { clusterOf, roleArgs, setupArgs } from "../lib/cli/cluster-args.ts";
import { runSetup, type SetupJob } from "../lib/cli/run-setup.ts";
import { runScript, type Script } from "../lib/cli/script.ts";
import { planRoles } from "../lib/cluster/setup-plan.ts";

const args = { ...roleArgs, ...setupArgs } as const;

export const writeRoles: Script<typeof args> = {
  name: "write-roles",
  description:
    "give a cluster its PKI roles, secrets, policies, token roles and init tokens; safe to run again",
  args,
  examples: [
    ["write-roles demo", "add missing parts to cluster demo, fix wrong ones, renew its init tokens"],
    ["write-roles --check --json demo", "check whether something would change, and print JSON"],
    ["write-roles --max-validity-components 7d demo", "let certificates be valid for a week"],
    ["write-roles --rotate-init-token worker demo", "revoke the workers' init token, and make a new one"],
    ["write-roles --init-token-file worker=./init-token demo", "take the id of an init token from a file"],
    ["write-roles --config cluster.toml", "set up what a cluster file describes; it has the cluster's id"],
    ["write-roles --print-policy demo", "print the policy that the token needs, to do without a root token"],
  ],
  exitCodes: [[2, "with --check: something would change"]],
  async run(args, run) {
    const what = "roles, secrets, policies and tokens";
    const job: SetupJob = { what, halves: ["roles"], makePlan: planRoles };
    return await runSetup(clusterOf(args), job, args, run);
  },
};

if (import.meta.main) void runScript(writeRoles);
