import { Failure } from "../failure.ts";
import { readPkiRole, writePkiRole } from "../vault/pki.ts";
import { deletePolicy, readPolicy, writePolicy } from "../vault/sys.ts";
import { deleteTokenRole, readTokenRole, writeTokenRole } from "../vault/token.ts";
import type { Cluster } from "./cluster.ts";
import { initTokenResources } from "./init-token-resources.ts";
import { standsAsWanted } from "./mount-resources.ts";
import { pkiMounts, secretsMount } from "./mounts.ts";
import { pkiRoles, type WantedPkiRole } from "./pki-roles.ts";
import type { Resource } from "./plan.ts";
import { policies, refuseNamesake, type WantedPolicy } from "./policies.ts";
import { right, storedRights } from "./rights.ts";
import { missingField, secrets, type WantedSecret, writeIfMissing } from "./secrets.ts";
import type { ServerView } from "./server-view.ts";
import { tokenRoles, type WantedTokenRole } from "./token-roles.ts";

/**
 * What `write-roles` keeps. Init tokens come last: whoever holds one finds the policy, the token role and the PKI
 * roles that it needs.
 */
export function roleResources(cluster: Cluster): readonly Resource[] {
  return [...rightsResources(cluster), ...initTokenResources(cluster)];
}

/** The same without init tokens. */
export function rightsResources(cluster: Cluster): readonly Resource[] {
  return [
    ...pkiRoles(cluster).map(pkiRoleResource),
    ...secrets(cluster).map(secretResource),
    ...policies(cluster).map((policy) => policyResource(cluster, policy)),
    ...tokenRoles(cluster).map(tokenRoleResource),
  ];
}

/**
 * Makes sure that the mounts below the roles stand.
 *
 * @throws Failure (config) that says to run `setup-mounts` first
 */
export async function requireMounts(view: ServerView, cluster: Cluster): Promise<void> {
  const found = await view.mounts();
  const missing = [...pkiMounts(cluster), secretsMount(cluster)].filter((it) => !standsAsWanted(found, it));
  if (missing.length === 0) return;
  const paths = missing.map(({ path }) => path).join(", ");
  throw new Failure("config", `cluster ${cluster.id} has not all of its mounts (missing: ${paths})`, {
    hint: `run setup-mounts ${cluster.id} first`,
  });
}

export function pkiRoleRights(path: string): Resource["rights"] {
  const write = [right("update", path)];
  return { read: [right("read", path)], create: write, update: write, delete: [right("delete", path)] };
}

function pkiRoleResource({ path, fields }: WantedPkiRole): Resource {
  return {
    kind: "PKI role",
    path,
    rights: pkiRoleRights(path),
    fields,
    async read(view) {
      return (await view.isMounted(path)) ? await readPkiRole(view.client, path) : undefined;
    },
    // Whole, in both cases: a role's fields that are not sent go back to the server's defaults.
    create: (client) => writePkiRole(client, path, fields),
    update: (client) => writePkiRole(client, path, fields),
  };
}

function policyResource(cluster: Cluster, { name, text }: WantedPolicy): Resource {
  const write = (client: ServerView["client"]) => writePolicy(client, name, text);
  const place = `sys/policies/acl/${name}`;
  return {
    kind: "policy",
    path: name,
    rights: {
      read: [right("read", place)],
      create: [right("update", place)],
      update: [right("update", place)],
      delete: [right("delete", place)],
    },
    fields: { policy: text.trim() },
    async read({ client, mounts }) {
      const found = await readPolicy(client, name);
      // A teardown leaves the other's alone.
      if (found !== undefined) refuseNamesake(cluster, (await mounts()).keys());
      return found === undefined ? undefined : { policy: found.trim() };
    },
    create: write,
    update: write,
    removal: {
      run: (client) => deletePolicy(client, name),
    },
  };
}

function tokenRoleResource({ name, fields }: WantedTokenRole): Resource {
  // An empty list of these reads back as null until somebody writes one, and the original never did.
  const { allowed_entity_aliases: aliases, ...others } = fields;
  const path = `auth/token/roles/${name}`;
  const untouched = Array.isArray(aliases) && aliases.length === 0 ? others : fields;
  return {
    kind: "token role",
    path,
    rights: storedRights(path),
    fields,
    read: ({ client }) => readTokenRole(client, name),
    create: (client) => writeTokenRole(client, name, untouched),
    update(client, changes) {
      const isTheirs = changes.some(({ field }) => field === "allowed_entity_aliases");
      return writeTokenRole(client, name, isTheirs ? fields : untouched);
    },
    removal: {
      run: (client) => deleteTokenRole(client, name),
    },
  };
}

/** Whatever value stands there is kept. */
function secretResource({ path, field, make }: WantedSecret): Resource {
  return {
    kind: "secret",
    path,
    rights: storedRights(path),
    fields: {},
    async read(view) {
      const found = await view.secret(path);
      // The names of its fields alone: what is read may be printed.
      return found && Object.fromEntries(Object.keys(found).map((name) => [name, "kept"]));
    },
    refuse(found) {
      if (!(field in found)) throw missingField(path, field);
    },
    create: (client) => writeIfMissing(client, path, field, make),
    async update() {},
  };
}
