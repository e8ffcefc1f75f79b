#!/usr/bin/env bun
import { runScript, type Script } from "../lib/cli/script.ts";
import { clusterOf, runSetup, setupArgs } from "../lib/cli/setup.ts";
import { type HostRole, hostRoles } from "../lib/cluster/cluster.ts";
import { planRoles } from "../lib/cluster/setup.ts";

const initToken = {
  type: "string",
  description: "id of this host role's init token, made at random else",
  valueHint: "ID",
} as const;

const args = {
  ...setupArgs,
  "max-validity-admin": {
    type: "string",
    description: "longest life of an admin's certificate",
    default: "365d",
    valueHint: "DURATION",
  },
  "max-validity-components": {
    type: "string",
    description: "longest life of every other certificate",
    default: "30d",
    valueHint: "DURATION",
  },
  "init-token-etcd": initToken,
  "init-token-master": initToken,
  "init-token-worker": initToken,
  "init-token-all": initToken,
} as const;

export const writeRoles: Script<typeof args> = {
  name: "write-roles",
  description:
    "give a cluster its PKI roles, secrets, policies, token roles and init tokens; safe to run again",
  args,
  examples: [
    ["write-roles demo", "write what cluster demo lacks, put right what differs, renew its init tokens"],
    ["write-roles --check --json demo", "ask whether something would change, for a machine"],
    ["write-roles --max-validity-components 7d demo", "certificates of a week"],
  ],
  exitCodes: [[2, "with --check: something would change"]],
  async run(args, run) {
    const chosen = hostRoles.flatMap((role): Array<[HostRole, string]> => {
      const id = args[`init-token-${role}`];
      return id === undefined ? [] : [[role, id]];
    });
    const cluster = clusterOf(
      args.cluster,
      { admin: args["max-validity-admin"], components: args["max-validity-components"] },
      Object.fromEntries(chosen),
    );
    return await runSetup(cluster, "roles, secrets, policies and tokens", planRoles, args, run);
  },
};

if (import.meta.main) void runScript(writeRoles);
