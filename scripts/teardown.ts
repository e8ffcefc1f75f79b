#!/usr/bin/env bun
import { runTeardown, teardownArgs } from "../lib/cli/run-teardown.ts";
import { runScript, type Script } from "../lib/cli/script.ts";
import { defineCluster } from "../lib/cluster/cluster.ts";

export const teardown: Script<typeof teardownArgs> = {
  name: "teardown",
  description: "show what set-up made for a cluster in Vault, and remove it if the id is given twice",
  args: teardownArgs,
  examples: [
    ["teardown --dry-run demo", "show what would be removed, and how much is in it"],
    ["teardown --yes demo demo", "remove it; if a run is stopped, the next one goes on"],
    ["teardown --print-policy demo", "print the policy that the token needs, to do without a root token"],
    ["teardown --yes demo --revoke-hosts demo", "remove it, and revoke its host tokens"],
  ],
  run: async (args, run) => await runTeardown(defineCluster(args.cluster), args, run),
};

if (import.meta.main) void runScript(teardown);
