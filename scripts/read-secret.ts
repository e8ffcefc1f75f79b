#!/usr/bin/env bun
import type { ParsedArgs } from "citty";
import { ExitCode } from "../lib/cli/exit-code.ts";
import { hostClient } from "../lib/cli/host-client.ts";
import { type Log, printJson, printText } from "../lib/cli/log.ts";
import { commonArgs, general, hostArgs, runScript, type Script } from "../lib/cli/script.ts";
import { Failure } from "../lib/failure.ts";
import { resolveOwnership } from "../lib/host/owner.ts";
import { openSecretTarget, storeSecret } from "../lib/host/secret-file.ts";
import { isSameAnswer, readSecretText } from "../lib/tasks/read-secret.ts";
import { encodePath } from "../lib/vault/path.ts";
import { visibleLines } from "../lib/visible.ts";

const args = {
  path: {
    type: "positional",
    required: true,
    description: "path of the secret: CLUSTER/secrets/NAME, or any other path that can be read",
  },
  field: {
    type: "string",
    alias: "f",
    description: "print one field unchanged, instead of the whole answer as JSON",
    valueHint: "NAME",
    group: "Secret",
  },
  "dest-path": {
    type: "string",
    alias: "d",
    description: "file to write, mode 0600; without it, standard output",
    valueHint: "FILE",
    group: "File",
  },
  owner: {
    type: "string",
    alias: "o",
    description: "owner of the file, by name or number; without it, the running user",
    valueHint: "USER",
    group: "File",
  },
  group: {
    type: "string",
    alias: "g",
    description: "group of the file, by name or number; without it, the running user's group",
    valueHint: "GROUP",
    group: "File",
  },
  ...hostArgs,
  json: {
    type: "boolean",
    description:
      "with --dest-path, print the outcome as one JSON object, without the secret; else print the field as JSON",
    group: general,
  },
  ...commonArgs,
} as const;

export const readSecret: Script<typeof args> = {
  name: "read-secret",
  description: "read a secret and print it, or write it to a file if it has changed",
  args,
  examples: [
    ["read-secret demo/secrets/service-accounts", "print the server's whole answer as JSON"],
    [
      "read-secret -f key -d /etc/kubernetes/service-accounts.pem demo/secrets/service-accounts",
      "write one field to a file, unless the file already holds it",
    ],
    [
      "read-secret -f content -d /etc/kubernetes/encryption.yaml -o kube -g kube demo/secrets/encryption-config",
      "write a file for another user",
    ],
  ],
  async run(args, run) {
    // Finds every mistake in the command line before anything is done.
    encodePath(args.path);
    const owner = resolveOwnership(args.owner, args.group);
    const destination = destinationOf(args);
    using target = destination === undefined ? undefined : openSecretTarget(destination, args["config-path"]);
    const text = await readSecretText({
      client: await hostClient(args, run),
      path: args.path,
      field: args.field,
      asJson: args.json === true && target === undefined,
      onNote: run.log.note,
    });
    if (target === undefined) {
      printText(shown(endsLine(args) ? `${text}\n` : text, run.log));
      return ExitCode.ok;
    }
    const isSame = args.field === undefined ? { isSame: isSameAnswer } : {};
    const isWritten = storeSecret(target, text, { owner, ...isSame });
    if (args.json === true)
      printJson({ outcome: isWritten ? "written" : "unchanged", destination: target.name });
    else if (isWritten) run.log.done(`${target.name} written`);
    else run.log.debug(`${target.name} already holds the same`);
    return ExitCode.ok;
  },
};

type Args = ParsedArgs<typeof args>;

/** @throws Failure (usage) for an owner or a group without a file */
function destinationOf(args: Args): string | undefined {
  const { "dest-path": destination, owner, group } = args;
  if (destination !== undefined || (owner === undefined && group === undefined)) return destination;
  throw new Failure(
    "usage",
    `--${owner === undefined ? "group" : "owner"} is for a file, but --dest-path is missing`,
    { hint: "add --dest-path, or leave it out" },
  );
}

/** Whether to add a line feed. A field goes to a pipe unchanged, but a terminal's prompt should start on a new line. */
function endsLine({ field, json }: Args): boolean {
  return field === undefined || json === true || process.stdout.isTTY === true;
}

/** The text unchanged for a file or a pipe. For a terminal, control characters are replaced. */
function shown(text: string, log: Log): string {
  if (process.stdout.isTTY !== true) return text;
  const safe = visibleLines(text);
  if (safe !== text) {
    log.note(
      "control characters in it are shown as \ufffd: write it to a file or a pipe to get it unchanged",
    );
  }
  return safe;
}

if (import.meta.main) void runScript(readSecret);
