import type { VaultClient, VaultRequest } from "../../lib/vault/client.ts";
import { means, VaultError } from "../../lib/vault/error.ts";
import { lookupSelf } from "../../lib/vault/token.ts";
import { failureOf } from "./failure.ts";

/** A read request, which may be repeated. */
export function get(path = "sys/mounts"): VaultRequest {
  return { method: "GET", path, capability: "read", repeatable: true };
}

/** A request that must not be sent twice. */
export function createOnce(): VaultRequest {
  return {
    method: "POST",
    path: "auth/token/create/demo-worker",
    body: {},
    capability: "create update",
    repeatable: false,
  };
}

/** The VaultError that a request fails with. */
export async function vaultErrorOf(call: () => unknown): Promise<VaultError> {
  const failure = await failureOf(call);
  if (failure instanceof VaultError) return failure;
  throw failure;
}

/** Whether the server has its own message for an unknown token: OpenBao has none. */
export async function tellsUnknownTokens(client: VaultClient): Promise<boolean> {
  return means(await vaultErrorOf(() => lookupSelf(client, "never-made")), "unknownToken");
}
