import { Failure } from "../failure.ts";
import type { VaultClient } from "./client.ts";

/**
 * The path whose answer a wrapping token holds; undefined for any other token, and for a wrapping token that was used.
 * The request is sent without a token, since a wrapping token is good for a single request of any kind.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/system/wrapping-lookup
 */
export async function wrappedPath(client: VaultClient, token: string): Promise<string | undefined> {
  try {
    const answer = await client.ask({
      method: "POST",
      path: "sys/wrapping/lookup",
      body: { token },
      capability: "update",
      repeatable: true,
    });
    return answer.object("data").string("creation_path");
  } catch (error) {
    // A proxy may forbid the request, or answer it with something else. Then the exchange itself will tell.
    if (error instanceof Failure && error.kind !== "temporary") return undefined;
    throw error;
  }
}
