import type { VaultClient } from "./client.ts";
import { listNames } from "./data.ts";
import { means, VaultError } from "./error.ts";
import { type Answer, isFields } from "./shape.ts";
import { readCapabilities } from "./sys.ts";

/**
 * The accessors of all tokens of the server.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/auth/token#list-accessors
 */
export async function listAccessors(client: VaultClient): Promise<readonly string[]> {
  return await listNames(client, "auth/token/accessors", "list sudo");
}

/** A token as its accessor tells it, without the token. */
export interface TokenEntry {
  readonly accessor: string;
  /** The token role that made it, if one did: no other auth method's role is named here. */
  readonly role: string | undefined;
  readonly policies: readonly string[];
  /** Seconds left; zero for one that never expires. */
  readonly ttlSeconds: number;
  /** What its maker said of the host that has it: anything at all, or nothing. */
  readonly host: string | undefined;
  /** Of its last renewal, or else its making, by the server's clock; undefined where the server does not tell. */
  readonly renewedAt: Date | undefined;
}

/** Where tokens are looked up by their accessors. */
export const lookupAccessorPath = "auth/token/lookup-accessor";

/**
 * What a token is, by its accessor; undefined where it has ended.
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
      role: data.fields.role === undefined ? undefined : data.text("role"),
      policies: data.texts("policies"),
      ttlSeconds: data.number("ttl"),
      host: hostIn(data.fields.meta),
      renewedAt: renewedAt(data),
    };
  } catch (error) {
    if (means(error, "unknownAccessor") || (await isLeftOver(client, error))) return undefined;
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
 * Whether an accessor is all that is left of a token. Servers keep such until `auth/token/tidy`, and answer as if the
 * lookup itself were not permitted.
 */
async function isLeftOver(client: VaultClient, error: unknown): Promise<boolean> {
  if (!(error instanceof VaultError) || error.status !== 403) return false;
  const granted = await readCapabilities(client, [lookupAccessorPath]).catch(() => undefined);
  return granted?.get(lookupAccessorPath)?.some((it) => it === "root" || it === "update") ?? false;
}

/** Where tokens are ended by their accessors. */
export const revokeAccessorPath = "auth/token/revoke-accessor";

/**
 * Ends a token and what it made, by its accessor; nothing where it has ended.
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
