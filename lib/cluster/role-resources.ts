import { Failure } from "../failure.ts";
import { readPkiRole, writePkiRole } from "../vault/pki.ts";
import { deletePolicy, readPolicy, writePolicy } from "../vault/sys.ts";
import { deleteTokenRole, readTokenRole, writeTokenRole } from "../vault/token.ts";
import type { Cluster } from "./cluster.ts";
import { initTokenResources } from "./init-token-resources.ts";
import { isMountedAsWanted } from "./mount-resources.ts";
import { pkiMounts, secretsMount } from "./mounts.ts";
import { pkiRoles, type WantedPkiRole } from "./pki-roles.ts";
import type { Resource } from "./plan.ts";
import { policies, refuseNamesake, type WantedPolicy } from "./policies.ts";
import { right, storedRights } from "./rights.ts";
import { missingField, secrets, type WantedSecret, writeIfMissing } from "./secrets.ts";
import type { ServerView } from "./server-view.ts";
import { tokenRoles, type WantedTokenRole } from "./token-roles.ts";

/**
 * The resources of `write-roles`. Init tokens come last, so that one works as soon as it exists: its policy, its token
 * role and the PKI roles exist by then.
 */
export function roleResources(cluster: Cluster): readonly Resource[] {
  return [...rightsResources(cluster), ...initTokenResources(cluster)];
}

/** The same resources without init tokens. */
export function rightsResources(cluster: Cluster): readonly Resource[] {
  return [
    ...pkiRoles(cluster).map(pkiRoleResource),
    ...secrets(cluster).map(secretResource),
    ...policies(cluster).map((policy) => policyResource(cluster, policy)),
    ...tokenRoles(cluster).map(tokenRoleResource),
  ];
}

/**
 * Checks that the mounts for the roles exist.
 *
 * @throws Failure (config) with the hint to run `setup-mounts` first
 */
export async function requireMounts(view: ServerView, cluster: Cluster): Promise<void> {
  const found = await view.mounts();
  const missing = [...pkiMounts(cluster), secretsMount(cluster)].filter(
    (it) => !isMountedAsWanted(found, it),
  );
  if (missing.length === 0) return;
  const paths = missing.map(({ path }) => path).join(", ");
  throw new Failure("config", `cluster ${cluster.id} lacks some of its mounts: ${paths}`, {
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
    // Both write the whole role, since a field that is left out goes back to the server's default.
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
      // The policy may belong to a cluster whose id differs only in capitals. A teardown has to leave it alone.
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
  // An empty list reads back as null until one is written, and the Go tool never wrote one. Leaving it out keeps null.
  const { allowed_entity_aliases: aliases, ...others } = fields;
  const path = `auth/token/roles/${name}`;
  const withoutAliases = Array.isArray(aliases) && aliases.length === 0 ? others : fields;
  return {
    kind: "token role",
    path,
    rights: storedRights(path),
    fields,
    read: ({ client }) => readTokenRole(client, name),
    create: (client) => writeTokenRole(client, name, withoutAliases),
    update(client, changes) {
      const changesAliases = changes.some(({ field }) => field === "allowed_entity_aliases");
      return writeTokenRole(client, name, changesAliases ? fields : withoutAliases);
    },
    removal: {
      run: (client) => deleteTokenRole(client, name),
    },
  };
}

/** An existing value is always kept. */
function secretResource({ path, field, make }: WantedSecret): Resource {
  return {
    kind: "secret",
    path,
    rights: storedRights(path),
    fields: {},
    async read(view) {
      const found = await view.secret(path);
      // Only the names of its fields, since they may be printed.
      return found && Object.fromEntries(Object.keys(found).map((name) => [name, "kept"]));
    },
    refuse(found) {
      if (!(field in found)) throw missingField(path, field);
    },
    create: (client) => writeIfMissing(client, path, field, make),
    async update() {},
  };
}
