import type { VaultClient } from "./client.ts";
import { means, VaultError } from "./error.ts";
import { meanings } from "./meaning.ts";

/**
 * Whether a request failed because the server does not know the token that it was sent with: it expired, was revoked,
 * or is another server's. The server is asked only where its words don't tell.
 *
 * OpenBao does not tell such a token from one that is bound to other addresses: that one is of no use here either.
 *
 * @param token the one that the request was sent with
 * @throws VaultError where the server can't answer that just now: then nothing is known of the token
 */
export async function isUnknownToken(client: VaultClient, token: string, error: unknown): Promise<boolean> {
  if (means(error, "unknownToken")) return true;
  if (!means(error, "refused")) return false;
  const refusal = await refusalOf(client, token);
  if (means(refusal, "unknownToken")) return true;
  // Vault has words of its own for an unknown token. A server that refuses a random one in the same words has none.
  return means(refusal, "refused") && means(await refusalOf(client, crypto.randomUUID()), "refused");
}

/** What the server says against a request that any token that it knows may make; undefined where it says nothing. */
async function refusalOf(client: VaultClient, token: string): Promise<VaultError | undefined> {
  try {
    await client.request({
      method: "GET",
      path: meanings.refused.settledBy,
      token,
      capability: "read",
      repeatable: true,
    });
    return undefined;
  } catch (error) {
    const isAnswer =
      error instanceof VaultError && error.serverErrors !== undefined && error.kind !== "temporary";
    if (isAnswer) return error;
    throw error;
  }
}
