#!/usr/bin/env bun
import { runTeardown, teardownArgs } from "../lib/cli/run-teardown.ts";
import { runScript, type Script } from "../lib/cli/script.ts";
import { defineCluster } from "../lib/cluster/cluster.ts";

export const teardown: Script<typeof teardownArgs> = {
  name: "teardown",
  description: "take away what set-up made for a cluster in Vault; shows it first, and asks for the id twice",
  args: teardownArgs,
  examples: [
    ["teardown --dry-run demo", "show what cluster demo has in the server, and how much goes with it"],
    ["teardown --yes demo demo", "remove it; what was stopped on the way is ended by the next run"],
    ["teardown --print-policy demo", "the policy that it needs, for a token with less than root"],
    ["teardown --yes demo --revoke-hosts demo", "and revoke the tokens of its hosts"],
  ],
  run: async (args, run) => await runTeardown(defineCluster(args.cluster), args, run),
};

if (import.meta.main) void runScript(teardown);
