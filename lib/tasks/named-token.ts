import { hostname } from "node:os";
import type { VaultClient } from "../vault/client.ts";
import { means, VaultError } from "../vault/error.ts";
import { createFromRole, type NewToken } from "../vault/token.ts";

/**
 * Makes a host token by an init token, and gives it this host's name, for admins to read. The name grants nothing:
 * anyone with an init token could choose another. If the server refuses a name, the token is made without one.
 *
 * @throws VaultError
 */
export async function createNamedToken(client: VaultClient, role: string, token: string): Promise<NewToken> {
  const host = hostname()
    .replaceAll(/[^\w.-]/g, "")
    .slice(0, 253);
  if (host === "") return await createFromRole(client, role, token);
  try {
    return await createFromRole(client, role, token, { display_name: host, meta: { host } });
  } catch (error) {
    if (!mayBeAboutName(error)) throw error;
    return await createFromRole(client, role, token);
  }
}

/**
 * Whether the server refused the request, so that no token was made, for a reason other than the init token or the
 * role.
 */
function mayBeAboutName(error: unknown): boolean {
  if (!(error instanceof VaultError) || error.kind === "temporary") return false;
  const isOther = (["unknownToken", "refused", "unknownRole"] as const).some((it) => means(error, it));
  // A server refuses a parameter with one of these, and so does a proxy that reads requests.
  return [400, 403, 422].includes(error.status ?? 0) && !isOther;
}
