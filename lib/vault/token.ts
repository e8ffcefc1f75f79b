import type { VaultClient } from "./client.ts";
import { deleteData, readData, writeData } from "./data.ts";
import { VaultError } from "./error.ts";
import type { Answer, Fields } from "./shape.ts";

/** A token as the server describes it when it is made or renewed. */
export interface TokenLease {
  /** Names the token in logs and when it is revoked. It can't be used instead of the token. */
  readonly accessor: string;
  readonly leaseSeconds: number;
  readonly renewable: boolean;
  readonly policies: readonly string[];
  /** It has a limited number of uses. The server does not say here how many are left. */
  readonly isLimited: boolean;
}

/**
 * Seconds until a third of a token's lifetime is left, when it is due; negative if it is due. A token without an end is
 * never due.
 *
 * @returns undefined for never
 */
export function tokenDueSeconds({ ttlSeconds, lifetimeSeconds }: TokenTimes): number | undefined {
  return ttlSeconds === 0 ? undefined : ttlSeconds - lifetimeSeconds / 3;
}

type TokenTimes = Pick<TokenInfo, "ttlSeconds" | "lifetimeSeconds">;

export interface NewToken extends TokenLease {
  readonly token: string;
}

/** A token as it looks itself up. */
export interface TokenInfo {
  readonly accessor: string;
  /** Seconds left; zero for one that never expires. */
  readonly ttlSeconds: number;
  /** TTL in seconds after a renewal, or else when it was made; zero for one that never expires. */
  readonly lifetimeSeconds: number;
  readonly renewable: boolean;
  readonly policies: readonly string[];
  /** The server does not store it, so it can be neither renewed nor revoked. */
  readonly isBatch: boolean;
  /** Uses left after this request; undefined if there is no limit. */
  readonly usesLeft: number | undefined;
}

function lease(answer: Answer): NewToken {
  const auth = answer.object("auth");
  return {
    token: auth.nonEmptyString("client_token"),
    accessor: auth.string("accessor"),
    leaseSeconds: auth.number("lease_duration"),
    renewable: auth.boolean("renewable"),
    policies: auth.strings("policies"),
    isLimited: usesOf(auth) !== undefined,
  };
}

/** In the answer, zero means no limit. A negative number means that the token has just been used up. */
function usesOf(token: Answer): number | undefined {
  const uses = token.fields.num_uses == null ? 0 : token.number("num_uses");
  return uses === 0 ? undefined : uses;
}

/**
 * Renews the client's token, or the given one, for its period. The answer holds all that a lookup would.
 *
 * @throws VaultError 400 "lease is not renewable"; 403 if the server does not know the token
 * @see https://developer.hashicorp.com/vault/api-docs/auth/token#renew-a-token-self
 */
export async function renewSelf(client: VaultClient, token?: string): Promise<TokenLease> {
  const answer = await client.ask({
    method: "POST",
    path: "auth/token/renew-self",
    body: {},
    capability: "update",
    repeatable: true,
    ...(token === undefined ? {} : { token }),
  });
  return lease(answer);
}

/**
 * Looks up the client's token, or the given one.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/auth/token#lookup-a-token-self
 */
export async function lookupSelf(client: VaultClient, token?: string): Promise<TokenInfo> {
  const answer = await client.ask({
    method: "GET",
    path: "auth/token/lookup-self",
    capability: "read",
    repeatable: true,
    ...(token === undefined ? {} : { token }),
  });
  const data = answer.object("data");
  return {
    accessor: data.string("accessor"),
    ttlSeconds: data.number("ttl"),
    // Left out if there is none.
    lifetimeSeconds: (data.fields.period == null ? 0 : data.number("period")) || data.number("creation_ttl"),
    // Left out for a server's first root token.
    renewable: data.fields.renewable !== undefined && data.boolean("renewable"),
    policies: data.strings("policies"),
    isBatch: data.fields.type === "batch",
    usesLeft: usesOf(data),
  };
}

/**
 * Whether the server knows a token. The client's own token needs the right to look it up: without it, the result is
 * false.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/auth/token#lookup-a-token
 */
export async function isKnownToken(client: VaultClient, token: string): Promise<boolean> {
  try {
    await client.request({
      method: "POST",
      path: "auth/token/lookup",
      body: { token },
      capability: "update",
      repeatable: true,
    });
    return true;
  } catch (error) {
    if (error instanceof VaultError && error.status === 403) return false;
    throw error;
  }
}

/**
 * Makes a token from a token role. The request is never repeated: if the answer is lost, an unused token stays valid,
 * and each repeat could add another.
 *
 * @param about further parameters, with the server's names
 * @see https://developer.hashicorp.com/vault/api-docs/auth/token#create-token
 */
export async function createFromRole(
  client: VaultClient,
  role: string,
  token: string,
  about: Fields = {},
): Promise<NewToken> {
  const answer = await client.ask({
    method: "POST",
    path: `auth/token/create/${role}`,
    body: about,
    token,
    capability: "create update",
    repeatable: false,
  });
  return lease(answer);
}

export interface OrphanToken {
  readonly id: string;
  readonly displayName: string;
  readonly policies: readonly string[];
  readonly periodSeconds: number;
}

/**
 * Makes a token without a parent, with a chosen id.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/auth/token#create-token
 */
export async function createOrphan(client: VaultClient, token: OrphanToken): Promise<void> {
  await client.request({
    method: "POST",
    path: "auth/token/create-orphan",
    body: {
      id: token.id,
      display_name: token.displayName,
      policies: token.policies,
      period: `${token.periodSeconds}s`,
    },
    capability: "create update sudo",
    repeatable: false,
  });
}

/**
 * A token role's fields; undefined if there is no role of that name.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/auth/token#read-token-role
 */
export async function readTokenRole(client: VaultClient, name: string): Promise<Fields | undefined> {
  const data = await readData(client, `auth/token/roles/${name}`);
  return data?.fields;
}

/**
 * Writes a token role. A field that is left out keeps its value.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/auth/token#create-update-token-role
 */
export async function writeTokenRole(client: VaultClient, name: string, fields: Fields): Promise<void> {
  await writeData(client, `auth/token/roles/${name}`, fields);
}

/**
 * Revokes a token and its children. The token itself asks for it.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/auth/token#revoke-a-token-self
 */
export async function revokeSelf(client: VaultClient, token: string): Promise<void> {
  await client.request({
    method: "POST",
    path: "auth/token/revoke-self",
    body: {},
    token,
    capability: "update",
    repeatable: true,
  });
}

/**
 * Deletes a token role. It is no error if there is none. Tokens that it made stay valid.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/auth/token#delete-token-role
 */
export async function deleteTokenRole(client: VaultClient, name: string): Promise<void> {
  await deleteData(client, `auth/token/roles/${name}`);
}
