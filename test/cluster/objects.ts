import { hostRoles } from "../../lib/cluster/cluster.ts";
import type { Fields } from "../../lib/vault/shape.ts";
import { type Api, fields } from "./api.ts";
import original from "./original-setup.json";

/** Every object of one cluster in a server, in the shape of the golden file. */
export interface ClusterObjects {
  readonly mounts: Readonly<Record<string, Fields>>;
  /** By mount, by role. */
  readonly pki_roles: Readonly<Record<string, Readonly<Record<string, Fields>>>>;
  readonly policies: Readonly<Record<string, string>>;
  readonly token_roles: Readonly<Record<string, Fields>>;
  /** Only the first line of each string. */
  readonly kv: Readonly<Record<string, Fields>>;
  /** Init tokens, by id. */
  readonly tokens: Readonly<Record<string, Fields>>;
  readonly auth_token_tune: Fields;
}

/** The ids of a cluster's init tokens, as the golden file has them. */
export const goldenTokens = { etcd: "e", master: "m", worker: "w", all: "a" } as const;

/**
 * The objects that the Go tool writes for a cluster: the golden file with that cluster's name and init tokens.
 *
 * @param tokens their ids, by host role
 */
export function originalObjects(id: string, tokens: Readonly<Record<string, string>>): ClusterObjects {
  const objects: ClusterObjects = JSON.parse(JSON.stringify(original).replaceAll("golden", id));
  const roleOf = new Map(Object.entries(goldenTokens).map(([role, letter]) => [letter as string, role]));
  const idOf = (letter: string) => tokens[roleOf.get(letter) ?? ""] ?? letter;
  return {
    ...objects,
    kv: mapValues(objects.kv, (secret) =>
      secret.init_token === undefined ? secret : { init_token: idOf(String(secret.init_token)) },
    ),
    tokens: Object.fromEntries(
      Object.entries(objects.tokens).map(([letter, token]) => {
        const id = idOf(letter);
        // The server sorts them, so the cluster's name may change their order.
        return [id, { ...token, id, policies: [token.policies].flat().sort() }];
      }),
    ),
  };
}

/** The parameters that our rules limit, unlike those of the Go tool. */
const limits = [
  ["/sign/", ["csr", "common_name", "alt_names", "ip_sans", "ttl"]],
  ["auth/token/create/", ["display_name", "num_uses", "meta"]],
] as const;

/** The objects that we write: those of the Go tool, with the intended differences. */
export function wantedObjects(id: string, tokens: Readonly<Record<string, string>>): ClusterObjects {
  const objects = originalObjects(id, tokens);
  return {
    ...objects,
    pki_roles: mapValues(objects.pki_roles, (roles) =>
      mapValues(roles, (role) => ({ ...role, key_type: "any", key_bits: 0, signature_bits: 0 })),
    ),
    policies: mapValues(objects.policies, (policy) =>
      policy.replaceAll(/path "(.*)" \{\n.*\n/g, (rule, path) => {
        const [, names] = limits.find(([part]) => String(path).includes(part)) ?? [];
        if (names === undefined) return rule;
        return `${rule}  allowed_parameters = { ${names.map((name) => `"${name}" = []`).join(", ")} }\n`;
      }),
    ),
    token_roles: mapValues(objects.token_roles, (role) => ({ ...role, token_type: "service" })),
  };
}

/**
 * Reads back every object of a cluster.
 *
 * @param like the expected objects. A field that these lack is left out, since a newer server has more fields. An
 *   object is never left out.
 */
export async function readObjects(api: Api, id: string, like: ClusterObjects): Promise<ClusterObjects> {
  const mounts = own(await api.find("sys/mounts"), `${id}/`);
  const pkiMounts = Object.keys(mounts).filter((path) => path.startsWith(`${id}/pki/`));
  const tokenRoles = (await api.list("auth/token/roles")).filter(
    (name) => name.startsWith(`${id}-`) && !name.slice(id.length + 1).includes("-"),
  );
  const policies = (await api.list("sys/policies/acl")).filter((name) => name.startsWith(`${id}/`));
  const secrets = await readEach(await api.list(`${id}/secrets`), (name) =>
    api.find(`${id}/secrets/${name}`),
  );
  const found: ClusterObjects = {
    mounts: mapValues(mounts, fields),
    pki_roles: Object.fromEntries(
      await Promise.all(
        pkiMounts.map(async (mount) => {
          const roles = await readEach(await api.list(`${mount}roles`), (name) =>
            api.find(`${mount}roles/${name}`),
          );
          return [mount.slice(`${id}/pki/`.length, -1), roles] as const;
        }),
      ),
    ),
    policies: await readEach(policies, async (name) =>
      String((await api.find(`sys/policies/acl/${name}`)).policy),
    ),
    token_roles: await readEach(tokenRoles, (name) => api.find(`auth/token/roles/${name}`)),
    kv: mapValues(secrets, (secret) => mapValues(secret, firstLine)),
    tokens: await readEach(
      Object.values(secrets).flatMap(({ init_token }) =>
        init_token === undefined ? [] : [String(init_token)],
      ),
      async (token) => fields((await api.write("auth/token/lookup", { token })).data),
    ),
    auth_token_tune: await api.find("sys/auth/token/tune"),
  };
  return {
    mounts: mapValues(found.mounts, (mount, path) => trim(mount, like.mounts[path])),
    pki_roles: mapValues(found.pki_roles, (roles, mount) =>
      mapValues(roles, (role, name) => withUnknown(role, like.pki_roles[mount]?.[name])),
    ),
    policies: found.policies,
    token_roles: mapValues(found.token_roles, (role, name) => trim(role, like.token_roles[name])),
    kv: found.kv,
    tokens: mapValues(found.tokens, (token, name) => trim(token, like.tokens[name])),
    auth_token_tune: trim(found.auth_token_tune, like.auth_token_tune),
  };
}

/** The ids of a cluster's stored init tokens, by host role. */
export async function storedTokens(api: Api, id: string): Promise<Record<string, string>> {
  return await readEach([...hostRoles], async (role) =>
    String((await api.find(`${id}/secrets/init_token_${role}`)).init_token),
  );
}

/** OpenBao does not have this field, so it is never read back. */
const notEverywhere = "serial_number_source";

function withUnknown(found: Fields, like: Fields | undefined): Fields {
  const role = trim(found, like);
  const value = like?.[notEverywhere];
  return value === undefined || notEverywhere in found ? role : { ...role, [notEverywhere]: value };
}

function trim(found: Fields, like: Fields | undefined): Fields {
  if (like === undefined) return found;
  const known = Object.entries(found).filter(([name]) => name in like);
  return Object.fromEntries(
    known.map(([name, value]) => [
      name,
      isObject(like[name]) ? trim(fields(value), fields(like[name])) : value,
    ]),
  );
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function firstLine(value: unknown): unknown {
  return typeof value === "string" && value.includes("\n") ? `<${value.split("\n")[0]}>` : value;
}

function own(objects: Fields, prefix: string): Fields {
  return Object.fromEntries(Object.entries(objects).filter(([path]) => path.startsWith(prefix)));
}

export function mapValues<V, W>(
  object: Readonly<Record<string, V>>,
  map: (value: V, name: string) => W,
): Record<string, W> {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, map(value, name)]));
}

async function readEach<T>(
  names: readonly string[],
  read: (name: string) => Promise<T>,
): Promise<Record<string, T>> {
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await read(name)] as const)));
}
