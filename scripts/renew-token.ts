#!/usr/bin/env bun
import { ExitCode } from "../lib/cli/exit-code.ts";
import { hostTokenOptions } from "../lib/cli/host-client.ts";
import { printJson } from "../lib/cli/log.ts";
import { commonArgs, general, hostArgs, runScript, type Script } from "../lib/cli/script.ts";
import { formatDuration } from "../lib/duration.ts";
import { type HostToken, keepHostToken } from "../lib/tasks/host-token.ts";

const args = {
  ...hostArgs,
  json: {
    type: "boolean",
    description: "what came of it as one JSON object, without the token",
    group: general,
  },
  ...commonArgs,
} as const;

export const renewToken: Script<typeof args> = {
  name: "renew-token",
  description: "renew this host's token, or trade its init token for one",
  args,
  examples: [
    ["renew-token", "renew the token in /etc/vault/token"],
    [
      "renew-token --init-role demo-worker",
      "trade /etc/vault/init-token for a token of the role demo-worker",
    ],
    ["renew-token --config-path ./vault --json", "tokens in another folder, and an answer for a machine"],
  ],
  async run(args, run) {
    const kept = await keepHostToken(hostTokenOptions(args, run));
    const { accessor, ttlSeconds, how } = kept;
    if (args.json === true) printJson({ how, accessor, ttlSeconds });
    else run.log.done(sentence(kept));
    return ExitCode.ok;
  },
};

function sentence({ how, ttlSeconds }: HostToken): string {
  const left = ttlSeconds === 0 ? "it never expires" : `${formatDuration(ttlSeconds)} left`;
  switch (how) {
    case "renewed":
      return `token renewed, ${left}`;
    case "traded":
      return `init token traded for a token of this host, ${left}`;
    case "not renewable":
      return `token can't be renewed, ${left}`;
  }
}

if (import.meta.main) void runScript(renewToken);
