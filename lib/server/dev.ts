import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { Failure } from "../failure.ts";
import { resolveServerBinary } from "./binary.ts";
import { untilReady } from "./health.ts";
import { ServerProcess } from "./process.ts";
import type { DevOptions, Server } from "./server.ts";

/** Starts an unsealed server in memory with a kv store at `secret/`. With `dev-tls` it has TLS and its own CA. */
export async function startDevServer(options: DevOptions): Promise<Server> {
  const binary = options.binary ?? (await resolveServerBinary());
  const rootToken = options.rootToken ?? `root-${randomBytes(12).toString("hex")}`;
  const process = new ServerProcess(binary, options.dataDir);
  const { dataDir } = process;
  const isTls = options.mode === "dev-tls";
  const args = ([port]: number[]) => [
    "-dev",
    `-dev-listen-address=127.0.0.1:${port}`,
    "-dev-no-store-token",
    ...(isTls ? ["-dev-tls", `-dev-tls-cert-dir=${dataDir}`] : []),
  ];
  // In the environment, since `ps` shows arguments to everyone.
  const env = { [binary.kind === "bao" ? "BAO_DEV_ROOT_TOKEN_ID" : "VAULT_DEV_ROOT_TOKEN_ID"]: rootToken };
  try {
    const port = options.port ?? (await process.runOnFreePorts(1, args, env))[0];
    if (options.port !== undefined) await runOn(options.port, process, args, env);
    const endpoint = {
      address: `${isTls ? "https" : "http"}://127.0.0.1:${port}`,
      caFile: isTls ? join(dataDir, "vault-ca.pem") : undefined,
    };
    await untilReady(process, endpoint);
    return {
      ...endpoint,
      binary,
      rootToken,
      dataDir,
      get pid() {
        return process.pid;
      },
      log: (lines) => process.log(lines).join("\n"),
      stop: () => process.end("SIGTERM"),
      kill: () => process.end("SIGKILL"),
      [Symbol.asyncDispose]: () => process.close(),
    };
  } catch (error) {
    await process.close();
    throw error;
  }
}

async function runOn(
  port: number,
  process: ServerProcess,
  args: (ports: number[]) => string[],
  env: Record<string, string>,
): Promise<void> {
  try {
    await process.run(args([port]), env);
  } catch (error) {
    const why = /listen tcp\S* \S+: bind: (.+)/.exec(process.log().join("\n"))?.[1];
    if (why === undefined) throw error;
    throw new Failure("unavailable", `the server can't listen on 127.0.0.1:${port}: ${why}`, {
      hint: "stop the program that listens there, or choose another port",
      cause: error,
    });
  }
}
