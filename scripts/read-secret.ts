#!/usr/bin/env bun
import type { ParsedArgs } from "citty";
import { ExitCode } from "../lib/cli/exit-code.ts";
import { hostClient } from "../lib/cli/host-client.ts";
import { type Log, printJson, printText } from "../lib/cli/log.ts";
import { commonArgs, general, hostArgs, runScript, type Script } from "../lib/cli/script.ts";
import { Failure } from "../lib/failure.ts";
import { resolveOwnership } from "../lib/host/owner.ts";
import { openSecretPlace, storeSecret } from "../lib/host/secret-file.ts";
import { isSameAnswer, readSecretText } from "../lib/tasks/read-secret.ts";
import { encodePath } from "../lib/vault/path.ts";
import { visibleLines } from "../lib/visible.ts";

const args = {
  path: {
    type: "positional",
    required: true,
    description: "where the secret is: CLUSTER/secrets/NAME, or any path that can be read",
  },
  field: {
    type: "string",
    alias: "f",
    description: "one field, as it is, instead of the whole answer as JSON",
    valueHint: "NAME",
    group: "Secret",
  },
  "dest-path": {
    type: "string",
    alias: "d",
    description: "file that it goes to, mode 0600; standard output without it",
    valueHint: "FILE",
    group: "File",
  },
  owner: {
    type: "string",
    alias: "o",
    description: "owner of the file, by name or number; the running user without it",
    valueHint: "USER",
    group: "File",
  },
  group: {
    type: "string",
    alias: "g",
    description: "group of the file, by name or number; the running user's without it",
    valueHint: "GROUP",
    group: "File",
  },
  ...hostArgs,
  json: {
    type: "boolean",
    description:
      "what came of it as one JSON object, without the secret; on standard output, the field as JSON",
    group: general,
  },
  ...commonArgs,
} as const;

export const readSecretScript: Script<typeof args> = {
  name: "read-secret",
  description: "read a secret, to standard output or to a file that is replaced when the secret has changed",
  args,
  examples: [
    ["read-secret demo/secrets/service-accounts", "the server's whole answer, as JSON"],
    [
      "read-secret -f key -d /etc/kubernetes/service-accounts.pem demo/secrets/service-accounts",
      "one field into a file of mode 0600; left as it is while it holds the same",
    ],
    [
      "read-secret -f content -d /etc/kubernetes/encryption.yaml -o kube -g kube demo/secrets/encryption-config",
      "a file that another user reads",
    ],
  ],
  async run(args, run) {
    // All that can be wrong with the command line, before anything is done.
    encodePath(args.path);
    const owner = resolveOwnership(args.owner, args.group);
    const destination = destinationOf(args);
    using place = destination === undefined ? undefined : openSecretPlace(destination, args["config-path"]);
    const text = await readSecretText({
      client: await hostClient(args, run),
      path: args.path,
      field: args.field,
      asJson: args.json === true && place === undefined,
      onNote: run.log.note,
    });
    if (place === undefined) {
      printText(shown(endsLine(args) ? `${text}\n` : text, run.log));
      return ExitCode.ok;
    }
    const isSame = args.field === undefined ? { isSame: isSameAnswer } : {};
    const isWritten = storeSecret(place, text, { owner, ...isSame });
    if (args.json === true)
      printJson({ outcome: isWritten ? "written" : "unchanged", destination: place.name });
    else if (isWritten) run.log.done(`${place.name} written`);
    else run.log.debug(`${place.name} is as it should be`);
    return ExitCode.ok;
  },
};

type Args = ParsedArgs<typeof args>;

/** @throws Failure (usage) for an owner of nothing */
function destinationOf(args: Args): string | undefined {
  const { "dest-path": destination, owner, group } = args;
  if (destination !== undefined || (owner === undefined && group === undefined)) return destination;
  throw new Failure(
    "usage",
    `--${owner === undefined ? "group" : "owner"} is the file's, and --dest-path is not given`,
    { hint: "give --dest-path, or leave it out" },
  );
}

/** A field goes to a pipe as it is; a person's next prompt starts on a line of its own. */
function endsLine({ field, json }: Args): boolean {
  return field === undefined || json === true || process.stdout.isTTY === true;
}

/** To the letter for a file, a pipe or a program; on a terminal, what it would act on is not. */
function shown(text: string, log: Log): string {
  if (process.stdout.isTTY !== true) return text;
  const safe = visibleLines(text);
  if (safe !== text) {
    log.note("a terminal would act on some characters of it, shown as \ufffd: lead it to a file or a pipe");
  }
  return safe;
}

if (import.meta.main) void runScript(readSecretScript);
