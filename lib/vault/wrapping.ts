import { Failure } from "../failure.ts";
import type { VaultClient } from "./client.ts";

/**
 * The path whose answer a token wraps; undefined for one that wraps nothing, or nothing any more. Needs no token, and
 * uses neither kind up: a wrapping token is good for one request, whatever that is.
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
    return answer.object("data").text("creation_path");
  } catch (error) {
    // Also where something on the way lets nobody ask, or answers something else: then the trade itself tells.
    if (error instanceof Failure && error.kind !== "temporary") return undefined;
    throw error;
  }
}
