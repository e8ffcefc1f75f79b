import { randomUUID } from "node:crypto";
import { ExitCode, Failure } from "../failure.ts";
import { revokeAccessor, revokeAccessorPath } from "../vault/accessor.ts";
import { means } from "../vault/error.ts";
import { readSecret } from "../vault/kv.ts";
import type { Fields } from "../vault/shape.ts";
import { createOrphan, lookupSelf, renewSelf, type TokenInfo, type TokenLease } from "../vault/token.ts";
import { isUnknownToken } from "../vault/unknown-token.ts";
import type { Cluster, HostRole } from "./cluster.ts";
import type { Resource } from "./plan.ts";
import { missingField, writeIfMissing } from "./secrets.ts";
import type { ServerView } from "./server-view.ts";
import { initTokens, type WantedInitToken } from "./token-roles.ts";

const idField = "init_token";

/**
 * Each init token is two: its id, kept as a secret, and the token itself. The id is stored first; stopped between
 * the two, the next run finds an id that the server does not know and makes its token.
 */
export function initTokenResources(cluster: Cluster): readonly Resource[] {
  const wanted = initTokens(cluster);
  return [
    ...wanted.map((token) => idResource(token, cluster.initTokens[token.role])),
    ...wanted.map((token) => tokenResource(token, cluster.initTokens[token.role])),
  ];
}

function idResource({ role, secretPath }: WantedInitToken, chosen: string | undefined): Resource {
  return {
    kind: "init token's id",
    path: secretPath,
    fields: {},
    async read(view) {
      const id = storedId(secretPath, await view.secret(secretPath));
      if (id === undefined || chosen === undefined || id === chosen) return id === undefined ? undefined : {};
      // Not `refuse`, which would need the ids in what was read, and that may be printed.
      throw new Failure(
        ExitCode.config,
        `--init-token-${role} differs from the init token that is stored at ${secretPath}`,
        {
          hint: "nothing was changed; leave the flag out to keep the stored one, or remove the secret first",
        },
      );
    },
    create: (client) => writeIfMissing(client, secretPath, idField, async () => chosen ?? randomUUID()),
    async update() {},
  };
}

function tokenResource(token: WantedInitToken, chosen: string | undefined): Resource {
  return {
    kind: "init token",
    path: token.displayName,
    fields: {},
    async read(view) {
      // A chosen one may be a token already, of which no secret tells yet.
      const id = storedId(token.secretPath, await view.secret(token.secretPath)) ?? chosen;
      const found = id === undefined ? undefined : await lookUp(view, id);
      return found && { policies: found.policies, accessor: found.accessor };
    },
    refuse: ({ policies }) => requirePolicies(token, policies),
    async create(client) {
      // Read again, since another admin's run may have stored its own between our reading and now.
      const id = storedId(token.secretPath, await readSecret(client, token.secretPath));
      if (id === undefined) {
        throw new Failure(
          ExitCode.tryLater,
          `the init token's id at ${token.secretPath} went away meanwhile`,
        );
      }
      await createOrphan(client, { ...token, id });
    },
    async update() {},
    removal: {
      right: { path: revokeAccessorPath, capability: "update" },
      keep: ({ policies }) => morePolicies(token, policies),
      run: (client, { accessor }) => revokeAccessor(client, String(accessor)),
    },
  };
}

/** One that was given as a flag may have been made by others, for more than set-up makes one for. */
function morePolicies(token: WantedInitToken, policies: unknown): string | undefined {
  const others = policyNames(policies).filter((name) => name !== "default" && !token.policies.includes(name));
  if (others.length === 0) return undefined;
  return `the init token of ${token.secretPath} holds other policies, too: ${others.join(", ")}`;
}

function policyNames(policies: unknown): readonly string[] {
  return Array.isArray(policies) ? policies.map(String) : [];
}

/** A token's policies can't be changed after its making. */
function requirePolicies(token: WantedInitToken, policies: unknown): void {
  const found = policyNames(policies);
  if (token.policies.every((name) => found.includes(name))) return;
  throw new Failure(
    ExitCode.config,
    `the init token of ${token.secretPath} holds the policies ${found.join(", ")}, not ${token.policies.join(", ")}`,
    { hint: "nothing was changed; revoke that token, and the next run makes it anew with the same id" },
  );
}

async function lookUp({ client }: ServerView, id: string): Promise<TokenInfo | undefined> {
  try {
    return await lookupSelf(client, id);
  } catch (error) {
    if (await isUnknownToken(client, id, error)) return undefined;
    throw error;
  }
}

/**
 * An init token as it stands.
 *
 * @returns undefined where no id is stored; "unknown" where one is, and the server knows no such token
 * @throws Failure (configuration) where the secret has not the field
 */
export async function readInitToken(
  view: ServerView,
  { secretPath }: WantedInitToken,
): Promise<TokenInfo | "unknown" | undefined> {
  const id = storedId(secretPath, await view.secret(secretPath));
  return id === undefined ? undefined : ((await lookUp(view, id)) ?? "unknown");
}

function storedId(path: string, secret: Fields | undefined): string | undefined {
  if (secret === undefined) return undefined;
  const id = secret[idField];
  if (typeof id === "string" && id !== "") return id;
  throw missingField(path, idField);
}

/** An init token that was renewed: whose, and for how long. */
export interface InitTokenRenewal extends TokenLease {
  readonly role: HostRole;
}

/**
 * Renews the init tokens that stood before this run, so that hosts can be added for another period.
 *
 * @param view the one that the plan was made with: it knows the ids, and none of those that were made since
 * @returns those renewed; one that can't be renewed, by its kind, is left out
 */
export async function renewInitTokens(
  view: ServerView,
  cluster: Cluster,
): Promise<readonly InitTokenRenewal[]> {
  const renewals = await Promise.all(
    initTokens(cluster).map(async ({ role, secretPath }) => {
      const id = storedId(secretPath, await view.secret(secretPath));
      try {
        return id === undefined ? [] : [{ role, ...(await renewSelf(view.client, id)) }];
      } catch (error) {
        if (means(error, "notRenewable")) return [];
        throw error;
      }
    }),
  );
  return renewals.flat();
}
