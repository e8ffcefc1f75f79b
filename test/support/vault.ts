import type { VaultClient, VaultRequest } from "../../lib/vault/client.ts";
import { means, VaultError } from "../../lib/vault/error.ts";
import { lookupSelf } from "../../lib/vault/token.ts";
import { failureOf } from "./failure.ts";

/** A read, which may be repeated. */
export function get(path = "sys/mounts"): VaultRequest {
  return { method: "GET", path, capability: "read", repeatable: true };
}

/** What must not be done twice. */
export function createOnce(): VaultRequest {
  return {
    method: "POST",
    path: "auth/token/create/demo-worker",
    body: {},
    capability: "create update",
    repeatable: false,
  };
}

/** The VaultError that a request ends with. */
export async function vaultErrorOf(call: () => unknown): Promise<VaultError> {
  const failure = await failureOf(call);
  if (failure instanceof VaultError) return failure;
  throw failure;
}

/** Whether the server has words of its own for a token that it does not know: OpenBao has not. */
export async function tellsUnknownTokens(client: VaultClient): Promise<boolean> {
  return means(await vaultErrorOf(() => lookupSelf(client, "never-made")), "unknownToken");
}
