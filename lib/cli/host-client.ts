import { keepHostToken } from "../tasks/host-token.ts";
import type { HostTokenOptions } from "../tasks/renew-token.ts";
import type { VaultClient } from "../vault/client.ts";
import { useConfigFile } from "./config-file.ts";
import { credentialsPath, givenToken } from "./environment.ts";
import type { Run } from "./script.ts";
import { variable } from "./variable.ts";

/** The values of `hostArgs`. */
export interface HostArgs {
  readonly "config-path": string;
  readonly "init-role"?: string | undefined;
}

/**
 * The options for `keepHostToken`: from the flags, else from the environment, else from the host's configuration. Adds
 * that configuration to the run's environment.
 *
 * @throws Failure if the configuration can't be used
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

/** A client with the environment's token if there is one; else with the host token, which is renewed first. */
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
