import type { VaultClient } from "./client.ts";
import { listNames } from "./data.ts";
import { means, VaultError } from "./error.ts";
import { type Answer, isFields } from "./shape.ts";
import { readCapabilities } from "./sys.ts";

/**
 * The accessors of all tokens in the server.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/auth/token#list-accessors
 */
export async function listAccessors(client: VaultClient): Promise<readonly string[]> {
  return await listNames(client, "auth/token/accessors", "list sudo");
}

/** A token, looked up by its accessor. It does not hold the token itself. */
export interface TokenEntry {
  readonly accessor: string;
  /** The token role that made it. Undefined without one; roles of other auth methods are not named here. */
  readonly role: string | undefined;
  readonly policies: readonly string[];
  /** Seconds left; zero for one that never expires. */
  readonly ttlSeconds: number;
  /** The host that it was made for, as its maker stated. Nothing verifies it. */
  readonly host: string | undefined;
  /** When it was last renewed, or else made, by the server's clock; undefined if the server does not tell. */
  readonly renewedAt: Date | undefined;
}

/** Looks up a token by its accessor. */
export const lookupAccessorPath = "auth/token/lookup-accessor";

/**
 * Looks up a token by its accessor; undefined if it has expired or was revoked.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/auth/token#lookup-a-token-accessor
 */
export async function lookupAccessor(client: VaultClient, accessor: string): Promise<TokenEntry | undefined> {
  try {
    const answer = await client.ask({
      method: "POST",
      path: lookupAccessorPath,
      body: { accessor },
      capability: "update",
      repeatable: true,
    });
    const data = answer.object("data");
    return {
      accessor,
      role: data.fields.role === undefined ? undefined : data.string("role"),
      policies: data.strings("policies"),
      ttlSeconds: data.number("ttl"),
      host: hostIn(data.fields.meta),
      renewedAt: renewedAt(data),
    };
  } catch (error) {
    if (means(error, "unknownAccessor") || (await isDangling(client, error))) return undefined;
    throw error;
  }
}

/** Longer than any host's name. */
const longestHost = 253;

function hostIn(meta: unknown): string | undefined {
  const host = isFields(meta) ? meta.host : undefined;
  return typeof host === "string" && host !== "" ? host.slice(0, longestHost) : undefined;
}

/** Left out until the first renewal. */
function renewedAt(data: Answer): Date | undefined {
  const field = ["last_renewal_time", "creation_time"].find((name) => Number(data.fields[name] ?? 0) > 0);
  return field === undefined ? undefined : new Date(data.number(field) * 1000);
}

/**
 * Whether the accessor's token is gone. A server keeps such an accessor until `auth/token/tidy`, and answers a lookup
 * as if it were not permitted.
 */
async function isDangling(client: VaultClient, error: unknown): Promise<boolean> {
  if (!(error instanceof VaultError) || error.status !== 403) return false;
  const granted = await readCapabilities(client, [lookupAccessorPath]).catch(() => undefined);
  return granted?.get(lookupAccessorPath)?.some((it) => it === "root" || it === "update") ?? false;
}

/** Revokes a token by its accessor. */
export const revokeAccessorPath = "auth/token/revoke-accessor";

/**
 * Revokes a token and its children by its accessor. It is no error if the token is gone.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/auth/token#revoke-a-token-accessor
 */
export async function revokeAccessor(client: VaultClient, accessor: string): Promise<void> {
  try {
    await client.request({
      method: "POST",
      path: revokeAccessorPath,
      body: { accessor },
      capability: "update",
      repeatable: true,
    });
  } catch (error) {
    if (!means(error, "unknownAccessor")) throw error;
  }
}
