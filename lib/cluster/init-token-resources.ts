import { Failure } from "../failure.ts";
import { revokeAccessor, revokeAccessorPath } from "../vault/accessor.ts";
import type { VaultClient } from "../vault/client.ts";
import { means } from "../vault/error.ts";
import { readSecret, writeSecret } from "../vault/kv.ts";
import type { Fields } from "../vault/shape.ts";
import { createOrphan, renewSelf, revokeSelf, type TokenInfo, type TokenLease } from "../vault/token.ts";
import type { Cluster, HostRole } from "./cluster.ts";
import type { Resource, Unwanted } from "./plan.ts";
import { right } from "./rights.ts";
import { missingField, writeIfMissing } from "./secrets.ts";
import { findToken, type ServerView } from "./server-view.ts";
import { initTokens, type WantedInitToken } from "./token-roles.ts";

const idField = "init_token";

/** Choosing a token's id and policies needs `sudo`. */
const createOrphanRight = right("update sudo", "auth/token/create-orphan");

/** The flags of the command line for one host role's init token. */
interface InitTokenFlags {
  /** The id that it should have. */
  readonly chosen: string | undefined;
  /** Whether the existing one is to be revoked. */
  readonly isRotated: boolean;
}

function flagsFor(cluster: Cluster, { role }: WantedInitToken): InitTokenFlags {
  return { chosen: cluster.initTokens[role], isRotated: cluster.rotatedInitTokens.includes(role) };
}

/**
 * Each init token is two resources: its id, stored as a secret, and the token itself.
 *
 * A random id is stored before its token is made. If a run stops in between, the next one finds an id that the server
 * does not know. It can't tell that from a revoked token, whose id may have leaked, so it stores a new id. A chosen id
 * is stored after its token is made. If the server does not know a stored chosen id, its token was revoked or expired.
 */
export function initTokenResources(cluster: Cluster): readonly Resource[] {
  return initTokens(cluster).flatMap((token) => {
    const flags = flagsFor(cluster, token);
    return [idResource(token, flags), tokenResource(token, flags)];
  });
}

/** The init tokens that have to be revoked before new ones replace them. */
export function rotatedInitTokens(cluster: Cluster): readonly Unwanted[] {
  return initTokens(cluster)
    .filter((token) => flagsFor(cluster, token).isRotated)
    .map(({ displayName, secretPath }) => ({
      kind: "init token",
      path: displayName,
      // The token revokes itself, which needs no right.
      rights: { read: [right("read", secretPath)] },
      async read(view) {
        const { token } = await readStored(view, secretPath);
        return token && { accessor: token.accessor };
      },
      async remove(client) {
        const id = storedId(secretPath, await readSecret(client, secretPath));
        if (id !== undefined && (await findToken(client, id)) !== undefined) await revokeSelf(client, id);
      },
    }));
}

/** The stored id of an init token, and the token if the server knows it. */
interface StoredInitToken {
  readonly id: string | undefined;
  readonly token: TokenInfo | undefined;
}

async function readStored(view: ServerView, secretPath: string): Promise<StoredInitToken> {
  const id = storedId(secretPath, await view.secret(secretPath));
  return { id, token: id === undefined ? undefined : await view.token(id) };
}

/**
 * Decides which id an init token should have.
 *
 * @throws Failure (config) if the chosen id can't be used; the message does not show any id
 */
function idToUse(
  { role, secretPath }: WantedInitToken,
  { chosen, isRotated }: InitTokenFlags,
  { id, token }: StoredInitToken,
): "stored" | "chosen" | "new" {
  const other = chosen === undefined ? "new" : "chosen";
  const refuse = (sentence: string, hint: string) =>
    new Failure("config", `--init-token-${role} ${sentence}`, {
      hint: `nothing was changed; ${hint}`,
    });
  if (id === undefined) return other;
  if (isRotated || token === undefined) {
    if (chosen !== id) return other;
    throw refuse(
      isRotated
        ? `is the id that --rotate-init-token ${role} has to replace`
        : "is the id of a token that the server no longer knows: it expired or was revoked",
      "leave the flag out to have a new one made, or choose another id",
    );
  }
  if (chosen === undefined || chosen === id) return "stored";
  throw refuse(
    `differs from the init token that is stored at ${secretPath}`,
    `leave the flag out to keep the stored one, or add --rotate-init-token ${role} to replace it`,
  );
}

function idResource(wanted: WantedInitToken, flags: InitTokenFlags): Resource {
  const { secretPath } = wanted;
  // A token with a chosen id is made before the id is stored.
  const making = flags.chosen === undefined ? [] : [createOrphanRight];
  const newId = async (client: VaultClient) => {
    if (flags.chosen === undefined) return crypto.randomUUID();
    await createIfMissing(client, wanted, flags.chosen);
    return flags.chosen;
  };
  return {
    kind: "init token's id",
    path: secretPath,
    rights: {
      read: [right("read", secretPath)],
      create: [right("create", secretPath), ...making],
      update: [right("update", secretPath), ...making],
    },
    fields: {},
    async read(view) {
      const stored = await readStored(view, secretPath);
      const use = idToUse(wanted, flags, stored);
      if (stored.id === undefined) return undefined;
      if (use === "stored") return {};
      return { [idField]: stored.token === undefined ? "unknown to the server" : "the one that ends" };
    },
    // The ids are left out, since this is printed.
    differences: ({ [idField]: from }) =>
      from === undefined
        ? []
        : [{ field: idField, from, to: flags.chosen === undefined ? "a new one" : "the chosen one" }],
    create: (client) => writeIfMissing(client, secretPath, idField, () => newId(client)),
    async update(client) {
      const secret = await readSecret(client, secretPath);
      const id = storedId(secretPath, secret);
      // Another admin's run may have been faster.
      if (id !== undefined && (await findToken(client, id)) !== undefined) return;
      await writeSecret(client, secretPath, { ...secret, [idField]: await newId(client) });
    },
  };
}

function tokenResource(wanted: WantedInitToken, flags: InitTokenFlags): Resource {
  return {
    kind: "init token",
    path: wanted.displayName,
    rights: {
      // With the second, OpenBao can tell a token that is bound to other addresses. A run works without it.
      read: [right("read", wanted.secretPath), right("update", "auth/token/lookup")],
      create: [createOrphanRight],
      delete: [right("update", revokeAccessorPath)],
    },
    fields: {},
    async read(view) {
      const stored = await readStored(view, wanted.secretPath);
      const use = idToUse(wanted, flags, stored);
      // A token with the chosen id may exist before its id is stored.
      const mayExist = use === "chosen" && flags.chosen !== undefined;
      const found = use === "stored" ? stored.token : mayExist ? await view.token(flags.chosen) : undefined;
      return found && { policies: found.policies, accessor: found.accessor };
    },
    refuse: ({ policies }) => requirePolicies(wanted, flags, policies),
    async create(client) {
      await createIfMissing(client, wanted, flags.chosen ?? (await readIdAgain(client, wanted)));
    },
    async update() {},
    removal: {
      keep: ({ policies }) => otherPolicies(wanted, policies),
      run: (client, { accessor }) => revokeAccessor(client, String(accessor)),
    },
  };
}

/** Creates an init token, unless another admin's run has made it meanwhile. */
async function createIfMissing(client: VaultClient, wanted: WantedInitToken, id: string): Promise<void> {
  if ((await findToken(client, id)) === undefined) await createOrphan(client, { ...wanted, id });
}

/** Reads the stored id once more: another admin's run may have stored its own since the plan. */
async function readIdAgain(client: VaultClient, { secretPath }: WantedInitToken): Promise<string> {
  const id = storedId(secretPath, await readSecret(client, secretPath));
  if (id !== undefined) return id;
  throw new Failure("temporary", `the init token's id at ${secretPath} was removed during this run`);
}

/** Why a token is kept: a chosen id may be a token that somebody else made, with further policies. */
function otherPolicies(wanted: WantedInitToken, policies: unknown): string | undefined {
  const others = policyNames(policies).filter(
    (name) => name !== "default" && !wanted.policies.includes(name),
  );
  if (others.length === 0) return undefined;
  return `the init token of ${wanted.secretPath} also holds other policies: ${others.join(", ")}`;
}

function policyNames(policies: unknown): readonly string[] {
  return Array.isArray(policies) ? policies.map(String) : [];
}

/** Refuses a token with the wrong policies, since they can't be changed once it is made. */
function requirePolicies(wanted: WantedInitToken, { chosen }: InitTokenFlags, policies: unknown): void {
  const found = policyNames(policies);
  if (wanted.policies.every((name) => found.includes(name))) return;
  const hint =
    chosen === undefined
      ? `--rotate-init-token ${wanted.role} replaces it`
      : `choose another id for --init-token-${wanted.role}`;
  throw new Failure(
    "config",
    `the init token of ${wanted.secretPath} holds the policies ${found.join(", ")}, not ${wanted.policies.join(", ")}`,
    { hint: `nothing was changed; ${hint}` },
  );
}

/**
 * Reads an init token.
 *
 * @returns undefined if no id is stored; "unknown" if the server does not know the token of that id
 * @throws Failure (config) if the secret lacks the field
 */
export async function readInitToken(
  view: ServerView,
  { secretPath }: WantedInitToken,
): Promise<TokenInfo | "unknown" | undefined> {
  const { id, token } = await readStored(view, secretPath);
  return id === undefined ? undefined : (token ?? "unknown");
}

function storedId(path: string, secret: Fields | undefined): string | undefined {
  if (secret === undefined) return undefined;
  const id = secret[idField];
  if (typeof id === "string" && id !== "") return id;
  throw missingField(path, idField);
}

/** A renewed init token, with the host role that it is for. */
export interface InitTokenRenewal extends TokenLease {
  readonly role: HostRole;
}

/**
 * Renews the init tokens that existed before this run, so that hosts can be added for another period.
 *
 * @param view the view of the plan, which remembers the init tokens from before the changes
 * @returns the renewed ones, without those that can't be renewed
 */
export async function renewInitTokens(
  view: ServerView,
  cluster: Cluster,
): Promise<readonly InitTokenRenewal[]> {
  const renewals = await Promise.all(
    initTokens(cluster).map(async (wanted) => {
      const { id, token } = await readStored(view, wanted.secretPath);
      if (id === undefined || token === undefined || flagsFor(cluster, wanted).isRotated) return [];
      try {
        return [{ role: wanted.role, ...(await renewSelf(view.client, id)) }];
      } catch (error) {
        if (means(error, "notRenewable")) return [];
        throw error;
      }
    }),
  );
  return renewals.flat();
}
