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

/** An id and policies of one's choice need `sudo`. */
const createOrphanRight = right("update sudo", "auth/token/create-orphan");

/** What a command line asks of a host role's init token. */
interface Asked {
  /** The id that it is to have. */
  readonly chosen: string | undefined;
  /** The one that stands is to end. */
  readonly isRotated: boolean;
}

function askedOf(cluster: Cluster, { role }: WantedInitToken): Asked {
  return { chosen: cluster.initTokens[role], isRotated: cluster.rotatedInitTokens.includes(role) };
}

/**
 * Each init token is two: its id, kept as a secret, and the token itself.
 *
 * A random id is stored first. Stopped between the two, the next run finds an id that the server does not know, just
 * as where the token was revoked, and stores another: a token with the old id would be there for whoever leaked it. A
 * chosen id is stored once its token stands, so that one that is stored and unknown was surely revoked, or has expired.
 */
export function initTokenResources(cluster: Cluster): readonly Resource[] {
  return initTokens(cluster).flatMap((token) => {
    const asked = askedOf(cluster, token);
    return [idResource(token, asked), tokenResource(token, asked)];
  });
}

/** The init tokens that are to end before others take their place. */
export function rotatedInitTokens(cluster: Cluster): readonly Unwanted[] {
  return initTokens(cluster)
    .filter((token) => askedOf(cluster, token).isRotated)
    .map(({ displayName, secretPath }) => ({
      kind: "init token",
      path: displayName,
      // It ends itself.
      rights: { read: [right("read", secretPath)] },
      async read(view) {
        const { stands } = await readStanding(view, secretPath);
        return stands && { accessor: stands.accessor };
      },
      async remove(client) {
        const id = storedId(secretPath, await readSecret(client, secretPath));
        if (id !== undefined && (await findToken(client, id)) !== undefined) await revokeSelf(client, id);
      },
    }));
}

/** What is there of an init token: its stored id, and the token that the server knows by it. */
interface Standing {
  readonly id: string | undefined;
  readonly stands: TokenInfo | undefined;
}

async function readStanding(view: ServerView, secretPath: string): Promise<Standing> {
  const id = storedId(secretPath, await view.secret(secretPath));
  return { id, stands: id === undefined ? undefined : await view.token(id) };
}

/**
 * Which id an init token is to have.
 *
 * @throws Failure (config) where the one that was asked for can't be it; nothing is told of the ids
 */
function idToUse(
  { role, secretPath }: WantedInitToken,
  { chosen, isRotated }: Asked,
  { id, stands }: Standing,
): "stored" | "chosen" | "new" {
  const other = chosen === undefined ? "new" : "chosen";
  const refuse = (sentence: string, hint: string) =>
    new Failure("config", `--init-token-${role} ${sentence}`, {
      hint: `nothing was changed; ${hint}`,
    });
  if (id === undefined) return other;
  if (isRotated || stands === undefined) {
    if (chosen !== id) return other;
    throw refuse(
      isRotated
        ? `is the id that --rotate-init-token ${role} is to replace`
        : "is the id of a token that the server does not know any more: it was revoked, or expired",
      "leave the flag out to have a new one made, or choose another id",
    );
  }
  if (chosen === undefined || chosen === id) return "stored";
  throw refuse(
    `differs from the init token that is stored at ${secretPath}`,
    `leave the flag out to keep the stored one, or add --rotate-init-token ${role} to replace it`,
  );
}

function idResource(token: WantedInitToken, asked: Asked): Resource {
  const { secretPath } = token;
  // A chosen one is made before its id is stored.
  const making = asked.chosen === undefined ? [] : [createOrphanRight];
  const newId = async (client: VaultClient) => {
    if (asked.chosen === undefined) return crypto.randomUUID();
    await makeUnlessThere(client, token, asked.chosen);
    return asked.chosen;
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
      const standing = await readStanding(view, secretPath);
      const use = idToUse(token, asked, standing);
      if (standing.id === undefined) return undefined;
      if (use === "stored") return {};
      return { [idField]: standing.stands === undefined ? "unknown to the server" : "the one that ends" };
    },
    // Neither id, since this is printed.
    differences: ({ [idField]: from }) =>
      from === undefined
        ? []
        : [{ field: idField, from, to: asked.chosen === undefined ? "a new one" : "the chosen one" }],
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

function tokenResource(token: WantedInitToken, asked: Asked): Resource {
  return {
    kind: "init token",
    path: token.displayName,
    rights: {
      // By the second, OpenBao tells one that is bound to other addresses; without it a run goes on.
      read: [right("read", token.secretPath), right("update", "auth/token/lookup")],
      create: [createOrphanRight],
      delete: [right("update", revokeAccessorPath)],
    },
    fields: {},
    async read(view) {
      const standing = await readStanding(view, token.secretPath);
      const use = idToUse(token, asked, standing);
      // A chosen one may be a token already, of which no secret tells yet.
      const isThere = use === "chosen" && asked.chosen !== undefined;
      const found = use === "stored" ? standing.stands : isThere ? await view.token(asked.chosen) : undefined;
      return found && { policies: found.policies, accessor: found.accessor };
    },
    refuse: ({ policies }) => requirePolicies(token, asked, policies),
    async create(client) {
      await makeUnlessThere(client, token, asked.chosen ?? (await idNow(client, token)));
    },
    async update() {},
    removal: {
      keep: ({ policies }) => morePolicies(token, policies),
      run: (client, { accessor }) => revokeAccessor(client, String(accessor)),
    },
  };
}

/** Another admin's run may have made it meanwhile. */
async function makeUnlessThere(client: VaultClient, token: WantedInitToken, id: string): Promise<void> {
  if ((await findToken(client, id)) === undefined) await createOrphan(client, { ...token, id });
}

/** Read again, since another admin's run may have stored its own between our reading and now. */
async function idNow(client: VaultClient, { secretPath }: WantedInitToken): Promise<string> {
  const id = storedId(secretPath, await readSecret(client, secretPath));
  if (id !== undefined) return id;
  throw new Failure("temporary", `the init token's id at ${secretPath} went away meanwhile`);
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
function requirePolicies(token: WantedInitToken, { chosen }: Asked, policies: unknown): void {
  const found = policyNames(policies);
  if (token.policies.every((name) => found.includes(name))) return;
  const hint =
    chosen === undefined
      ? `--rotate-init-token ${token.role} replaces it`
      : `choose another id for --init-token-${token.role}`;
  throw new Failure(
    "config",
    `the init token of ${token.secretPath} holds the policies ${found.join(", ")}, not ${token.policies.join(", ")}`,
    { hint: `nothing was changed; ${hint}` },
  );
}

/**
 * An init token as it stands.
 *
 * @returns undefined where no id is stored; "unknown" where one is, and the server knows no such token
 * @throws Failure (config) where the secret has not the field
 */
export async function readInitToken(
  view: ServerView,
  { secretPath }: WantedInitToken,
): Promise<TokenInfo | "unknown" | undefined> {
  const { id, stands } = await readStanding(view, secretPath);
  return id === undefined ? undefined : (stands ?? "unknown");
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
 * @param view the one that the plan was made with: it knows what stood then, and nothing that was made since
 * @returns those renewed; one that can't be renewed, by its kind, is left out
 */
export async function renewInitTokens(
  view: ServerView,
  cluster: Cluster,
): Promise<readonly InitTokenRenewal[]> {
  const renewals = await Promise.all(
    initTokens(cluster).map(async (token) => {
      const { id, stands } = await readStanding(view, token.secretPath);
      if (id === undefined || stands === undefined || askedOf(cluster, token).isRotated) return [];
      try {
        return [{ role: token.role, ...(await renewSelf(view.client, id)) }];
      } catch (error) {
        if (means(error, "notRenewable")) return [];
        throw error;
      }
    }),
  );
  return renewals.flat();
}
