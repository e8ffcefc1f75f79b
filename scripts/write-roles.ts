#!/usr/bin/env bun
import { clusterOf, roleArgs, setupArgs } from "../lib/cli/cluster-args.ts";
import { runSetup, type SetupJob } from "../lib/cli/run-setup.ts";
import { runScript, type Script } from "../lib/cli/script.ts";
import { planRoles } from "../lib/cluster/setup.ts";

const args = { ...roleArgs, ...setupArgs } as const;

export const writeRoles: Script<typeof args> = {
  name: "write-roles",
  description:
    "give a cluster its PKI roles, secrets, policies, token roles and init tokens; safe to run again",
  args,
  examples: [
    ["write-roles demo", "write what cluster demo lacks, put right what differs, renew its init tokens"],
    ["write-roles --check --json demo", "ask whether something would change, for a machine"],
    ["write-roles --max-validity-components 7d demo", "certificates of a week"],
    ["write-roles --rotate-init-token worker demo", "end the workers' init token, and make another"],
    ["write-roles --init-token-file worker=./init-token demo", "an init token that a file holds"],
    ["write-roles --config cluster.toml", "as a file says, with the cluster's id"],
    ["write-roles --print-policy demo", "the policy that it needs, for a token with less than root"],
  ],
  exitCodes: [[2, "with --check: something would change"]],
  async run(args, run) {
    const what = "roles, secrets, policies and tokens";
    const job: SetupJob = { what, halves: ["roles"], makePlan: planRoles };
    return await runSetup(clusterOf(args), job, args, run);
  },
};

if (import.meta.main) void runScript(writeRoles);
