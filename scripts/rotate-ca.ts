#!/usr/bin/env bun
import { rotateCaArgs } from "../lib/cli/rotate-ca-args.ts";
import { runRotateCa } from "../lib/cli/run-rotate-ca.ts";
import { runScript, type Script } from "../lib/cli/script.ts";

export const rotateCa: Script<typeof rotateCaArgs> = {
  name: "rotate-ca",
  description: "renew a mount's CA, or replace it, without cutting a host off",
  args: rotateCaArgs,
  examples: [
    ["rotate-ca --dry-run demo k8s", "show what would change"],
    ["rotate-ca demo k8s", "renew the CA's certificate before it expires; its key stays"],
    ["rotate-ca --new-key demo k8s", "make a new CA with a new key, which signs from then on"],
    ["rotate-ca --retire demo k8s", "remove the old CA, once its certificates have expired"],
    ["rotate-ca --retire --force demo k8s", "the same now, and revoke its certificates: its key was stolen"],
    [
      "rotate-ca --print-policy demo k8s",
      "print the policy that the token needs, to do without a root token",
    ],
  ],
  exitCodes: [
    [2, "with --check: something would change"],
    [75, "with --retire: an old CA is still needed"],
  ],
  run: runRotateCa,
};

if (import.meta.main) void runScript(rotateCa);
