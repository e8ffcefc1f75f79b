import type { VaultRequest } from "../../lib/vault/client.ts";
import { VaultError } from "../../lib/vault/error.ts";
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
