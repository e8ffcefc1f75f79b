#!/usr/bin/env bun
import { ExitCode } from "../lib/cli/exit-code.ts";
import { hostTokenOptions } from "../lib/cli/host-client.ts";
import { printJson } from "../lib/cli/log.ts";
import { commonArgs, general, hostArgs, runScript, type Script } from "../lib/cli/script.ts";
import { formatDuration } from "../lib/duration.ts";
import { keepHostToken } from "../lib/tasks/host-token.ts";
import type { KeptToken } from "../lib/tasks/renew-token.ts";

const args = {
  ...hostArgs,
  json: {
    type: "boolean",
    description: "print the outcome as one JSON object, without the token",
    group: general,
  },
  ...commonArgs,
} as const;

export const renewToken: Script<typeof args> = {
  name: "renew-token",
  description: "renew the host token, or exchange the init token for one",
  args,
  examples: [
    ["renew-token", "renew the token in /etc/vault/token"],
    [
      "renew-token --init-role demo-worker",
      "the same; if there is none, exchange /etc/vault/init-token for a token of the role demo-worker",
    ],
    ["renew-token --config-path ./vault --json", "use tokens in another folder, and print JSON"],
  ],
  async run(args, run) {
    const kept = await keepHostToken(hostTokenOptions(args, run));
    const { accessor, ttlSeconds, how } = kept;
    // JSON keeps the word of release 1.0.0 for an exchange.
    if (args.json === true) printJson({ how: how === "exchanged" ? "traded" : how, accessor, ttlSeconds });
    else run.log.done(sentence(kept));
    return ExitCode.ok;
  },
};

function sentence({ how, ttlSeconds }: KeptToken): string {
  const left = ttlSeconds === 0 ? "it never expires" : `${formatDuration(ttlSeconds)} left`;
  switch (how) {
    case "renewed":
      return `token renewed, ${left}`;
    case "exchanged":
      return `init token exchanged for a host token, ${left}`;
    case "not renewable":
      return `token can't be renewed, ${left}`;
  }
}

if (import.meta.main) void runScript(renewToken);
