#!/usr/bin/env bun
import type { ParsedArgs } from "citty";
import { clusterOf, mountArgs, roleArgs } from "../lib/cli/cluster-args.ts";
import { ExitCode } from "../lib/cli/exit-code.ts";
import { printJson } from "../lib/cli/log.ts";
import { commonArgs, general, type Run, runScript, type Script } from "../lib/cli/script.ts";
import { variable } from "../lib/cli/variable.ts";
import { Failure } from "../lib/failure.ts";
import { notifyServiceManager } from "../lib/host/notify.ts";
import { type DevCluster, startDevCluster } from "../lib/server/dev-cluster.ts";
import { watchEnding } from "../lib/server/ending.ts";

/** The flags of the set-up commands, but with real defaults: here no file can set other values. */
const validity = (alias: string, description: string, byDefault: string) =>
  ({ ...mountArgs["max-validity-ca"], alias, description, default: byDefault }) as const;

const args = {
  cluster: {
    type: "positional",
    required: true,
    description: "the cluster's id: a letter, then lower-case letters, digits and -",
  },
  port: {
    type: "string",
    alias: "t",
    description: "port to listen on, at 127.0.0.1",
    default: "8200",
    valueHint: "NUMBER",
    group: "Server",
  },
  "tokens-file": {
    type: "string",
    description:
      "file for its tokens, mode 0600, removed at the end; without it, a file in a temporary folder",
    valueHint: "FILE",
    group: "Server",
  },
  "max-validity-ca": validity("c", "validity of the CAs", "20y"),
  "max-validity-admin": validity("d", "longest validity of an admin's certificate", "365d"),
  "max-validity-components": validity("s", "longest validity of every other certificate", "30d"),
  "init-token-etcd": { ...roleArgs["init-token-etcd"], alias: "e" },
  "init-token-master": { ...roleArgs["init-token-master"], alias: "m" },
  "init-token-worker": { ...roleArgs["init-token-worker"], alias: "o" },
  "init-token-all": { ...roleArgs["init-token-all"], alias: "a" },
  "init-token-file": roleArgs["init-token-file"],
  "wait-signal": {
    type: "boolean",
    alias: "w",
    description: "run until a signal ends it; this can't be turned off",
    default: true,
    group: "Server",
  },
  json: {
    type: "boolean",
    description: "once it is ready, print its address as one JSON object, without its tokens",
    group: general,
  },
  ...commonArgs,
  timeout: {
    type: "string",
    description: "time limit of the start, including a build of the server if one is needed",
    default: "10m",
    valueHint: "DURATION",
    group: general,
  },
} as const;

export const devServer: Script<typeof args> = {
  name: "dev-server",
  description:
    "run Vault or OpenBao in memory, with a cluster set up in it, for development, until a signal ends it",
  args,
  examples: [
    ["dev-server demo", "run a server at http://127.0.0.1:8200 with cluster demo; Ctrl-C ends it"],
    [
      "dev-server --tokens-file ./tokens.env -t 8300 demo",
      "use another port; `set -a; . ./tokens.env` sets its address and tokens in another shell",
    ],
    [
      "VAULT_DEV_ROOT_TOKEN_ID=root-token-dev dev-server -o my-init-token demo",
      "choose the root token and the workers' init token",
    ],
  ],
  async run(args, run) {
    const { cluster } = clusterOf(args);
    const port = parsePort(args.port);
    requireWaiting(args);
    const ending = watchEnding();
    try {
      await using dev = await startDevCluster({
        cluster,
        port,
        rootToken: variable(run.env, "DEV_ROOT_TOKEN_ID"),
        tokensFile: args["tokens-file"],
        env: run.env,
        signal: AbortSignal.any([run.signal, ending.signal]),
        onProgress: run.log.note,
        onStep: run.log.debug,
      });
      tellReady(args, dev, run);
      await tellServiceManager(run);
      await ending.wait(dev.server);
      run.log.note(`ended by ${ending.signal.reason}`);
    } catch (error) {
      if (!ending.signal.aborted) throw error;
    }
    return ExitCode.ok;
  },
};

type Args = ParsedArgs<typeof args>;

function parsePort(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535) return Number(text);
  throw new Failure("usage", `--port ${JSON.stringify(text)} is not a number from 1 to 65535`);
}

function requireWaiting(args: Args): void {
  if (args["wait-signal"]) return;
  throw new Failure("usage", "--wait-signal can't be turned off: the server ends with this command", {
    hint: "run it in the background, or as a unit of Type=notify",
  });
}

function tellReady(args: Args, { server, tokensFile }: DevCluster, { log }: Run): void {
  const { address, binary, pid } = server;
  if (args.json === true) {
    printJson({ cluster: args.cluster, address, tokensFile, server: binary.path, pid });
    return;
  }
  log.done(`${args.cluster} is set up at ${address}`);
  log.done(`to set its root token and init tokens in a shell: set -a; . ${tokensFile}; set +a`);
}

async function tellServiceManager({ env, log }: Run): Promise<void> {
  if (!env.NOTIFY_SOCKET) return;
  try {
    await notifyServiceManager(env.NOTIFY_SOCKET, "READY=1");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    log.note(`can't notify the service manager at ${env.NOTIFY_SOCKET} that the server is ready: ${why}`);
  }
}

if (import.meta.main) void runScript(devServer);
