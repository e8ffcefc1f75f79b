import { keepHostToken } from "../tasks/host-token.ts";
import type { VaultClient } from "../vault/client.ts";
import { givenToken, variable } from "./environment.ts";
import type { Run } from "./script.ts";

/** A client with an admin's token as the environment gives it, else with the host's own, which is kept alive first. */
export async function hostClient(
  args: { readonly "config-path": string; readonly "init-role"?: string | undefined },
  { client, env, signal, log }: Run,
): Promise<VaultClient> {
  const given = givenToken(env);
  if (given !== undefined) return client(given);
  const tokenless = client();
  const { token } = await keepHostToken({
    client: tokenless,
    configPath: args["config-path"],
    credentialsPath: env.CREDENTIALS_DIRECTORY || undefined,
    initRole: args["init-role"] ?? variable(env, "INIT_ROLE"),
    signal,
    onNote: log.note,
  });
  return tokenless.withToken(token);
}
