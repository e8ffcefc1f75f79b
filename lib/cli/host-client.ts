import { type HostTokenOptions, keepHostToken } from "../tasks/host-token.ts";
import type { VaultClient } from "../vault/client.ts";
import { useConfigFile } from "./config-file.ts";
import { credentialsPath, givenToken } from "./environment.ts";
import type { Run } from "./script.ts";
import { variable } from "./variable.ts";

/** What is given for the flags of a host's own commands. */
export interface HostArgs {
  readonly "config-path": string;
  readonly "init-role"?: string | undefined;
}

/**
 * What a command that keeps the host's token goes by: the flags, else the environment, else the host's configuration,
 * which is read here.
 */
export function hostTokenOptions(args: HostArgs, run: Run): HostTokenOptions {
  useConfigFile(args["config-path"], run);
  const { env, signal, log } = run;
  return {
    client: run.client(),
    configPath: args["config-path"],
    credentialsPath: credentialsPath(env),
    initRole: args["init-role"] ?? variable(env, "INIT_ROLE"),
    signal,
    onNote: log.note,
  };
}

/** A client with an admin's token as the environment gives it, else with the host's own, which is kept alive first. */
export async function hostClient(args: HostArgs, run: Run): Promise<VaultClient> {
  const given = givenToken(run.env);
  if (given !== undefined) {
    useConfigFile(args["config-path"], run);
    return run.client(given);
  }
  const options = hostTokenOptions(args, run);
  const { token } = await keepHostToken(options);
  return options.client.withToken(token);
}
