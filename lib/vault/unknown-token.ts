import type { VaultClient } from "./client.ts";
import { means, VaultError } from "./error.ts";
import { meanings } from "./meaning.ts";

/**
 * Whether a request failed because the server does not know its token: it expired, was revoked, or belongs to another
 * server. Asks the server only if the words of the error leave it open.
 *
 * OpenBao gives the same answer to a token that is bound to other addresses. That token is useless here too, so it
 * counts as unknown.
 *
 * @param token the token of that request
 * @throws VaultError if the server can't answer now, so that nothing is known about the token
 */
export async function isUnknownToken(client: VaultClient, token: string, error: unknown): Promise<boolean> {
  if (means(error, "unknownToken")) return true;
  if (!means(error, "refused")) return false;
  const refusal = await refusalOf(client, token);
  if (means(refusal, "unknownToken")) return true;
  // Vault has special words for an unknown token. If a random token is refused in the same words, this server has none.
  return means(refusal, "refused") && means(await refusalOf(client, crypto.randomUUID()), "refused");
}

/** Sends a request that every known token may make. Returns the server's refusal; undefined if there is none. */
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
