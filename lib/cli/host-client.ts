import { type HostTokenOptions, keepHostToken } from "../tasks/host-token.ts";
import type { VaultClient } from "../vault/client.ts";
import { credentialsPath, givenToken, variable } from "./environment.ts";
import type { Run } from "./script.ts";

/** What is given for the flags of a host's own commands. */
export interface HostArgs {
  readonly "config-path": string;
  readonly "init-role"?: string | undefined;
}

/** Where a host's tokens are, and the role that its init token is traded for: by the flags, else the environment. */
export function hostTokenOptions(
  args: HostArgs,
  { env, signal, log }: Run,
): Omit<HostTokenOptions, "client"> {
  return {
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
  if (given !== undefined) return run.client(given);
  const client = run.client();
  const { token } = await keepHostToken({ ...hostTokenOptions(args, run), client });
  return client.withToken(token);
}
