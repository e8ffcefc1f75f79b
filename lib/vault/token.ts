import type { VaultClient } from "./client.ts";
import { deleteData, readData, writeData } from "./data.ts";
import { VaultError } from "./error.ts";
import type { Answer, Fields } from "./shape.ts";

/** A token as the server describes it after a renewal, or at its making. */
export interface TokenLease {
  /** What names the token in logs and for revoking, and can't be used in its place. */
  readonly accessor: string;
  readonly leaseSeconds: number;
  readonly renewable: boolean;
  readonly policies: readonly string[];
  /** It is good for a number of requests; how many are left is not told here. */
  readonly isLimited: boolean;
}

export interface NewToken extends TokenLease {
  readonly token: string;
}

/** A token as it looks itself up. */
export interface TokenInfo {
  readonly accessor: string;
  /** Seconds left; zero for one that never expires. */
  readonly ttlSeconds: number;
  /** Seconds that it has after a renewal, or that it was made with; zero for one that never expires. */
  readonly lifeSeconds: number;
  readonly renewable: boolean;
  readonly policies: readonly string[];
  /** It is kept nowhere in the server, and can be neither renewed nor revoked. */
  readonly isBatch: boolean;
  /** Requests that it is good for after this one; undefined where there is no limit. */
  readonly usesLeft: number | undefined;
}

function lease(answer: Answer): NewToken {
  const auth = answer.object("auth");
  return {
    token: auth.filledText("client_token"),
    accessor: auth.text("accessor"),
    leaseSeconds: auth.number("lease_duration"),
    renewable: auth.truth("renewable"),
    policies: auth.texts("policies"),
    isLimited: usesOf(auth) !== undefined,
  };
}

/** Zero is no limit; below zero is a token that has just been used up. */
function usesOf(token: Answer): number | undefined {
  const uses = token.fields.num_uses == null ? 0 : token.number("num_uses");
  return uses === 0 ? undefined : uses;
}

/**
 * Renews the client's token, or the one given, by its period. The answer tells all that a lookup would.
 *
 * @throws VaultError 400 "lease is not renewable"; 403 where the server does not know it
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
 * What the client's token, or the one given, is.
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
    accessor: data.text("accessor"),
    ttlSeconds: data.number("ttl"),
    // Left out where there is none.
    lifeSeconds: (data.fields.period == null ? 0 : data.number("period")) || data.number("creation_ttl"),
    // Left out of the root token that a server is initialized with.
    renewable: data.fields.renewable !== undefined && data.truth("renewable"),
    policies: data.texts("policies"),
    isBatch: data.fields.type === "batch",
    usesLeft: usesOf(data),
  };
}

/**
 * Whether the server has a token, as the client's own token looks it up; false, too, where that may not.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/auth/token#lookup-a-token
 */
export async function isThere(client: VaultClient, token: string): Promise<boolean> {
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
 * Makes a token of a token role. Never repeated: if the answer is lost, a token that nobody has lives on, and
 * each repeat could add one.
 *
 * @param about parameters of the request, by the server's names
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
 * Makes a token that has no parent, with an id of our choice.
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
 * A token role's fields; undefined where there is none of that name.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/auth/token#read-token-role
 */
export async function readTokenRole(client: VaultClient, name: string): Promise<Fields | undefined> {
  const data = await readData(client, `auth/token/roles/${name}`);
  return data?.fields;
}

/**
 * Writes a token role; a field that is left out keeps its value.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/auth/token#create-update-token-role
 */
export async function writeTokenRole(client: VaultClient, name: string, fields: Fields): Promise<void> {
  await writeData(client, `auth/token/roles/${name}`, fields);
}

/**
 * Ends a token and what it made, asked for with itself.
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
 * Takes a token role away; nothing where there is none of that name. Tokens that it made live on.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/auth/token#delete-token-role
 */
export async function deleteTokenRole(client: VaultClient, name: string): Promise<void> {
  await deleteData(client, `auth/token/roles/${name}`);
}
