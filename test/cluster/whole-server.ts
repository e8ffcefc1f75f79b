import type { Fields } from "../../lib/vault/shape.ts";
import { type Api, fields } from "./api.ts";

/** Everything in a server that set-up and teardown may write to, without timestamps. */
export interface WholeServer {
  readonly mounts: Fields;
  /** The contents of the mounts by path. */
  readonly contents: Fields;
  readonly policies: Fields;
  readonly tokenRoles: Fields;
  /** By accessor. */
  readonly tokens: Fields;
}

export async function readWholeServer(api: Api): Promise<WholeServer> {
  const mounts = await api.find("sys/mounts");
  return {
    mounts,
    contents: await readAll(Object.keys(mounts), (path) => readContents(api, path, fields(mounts[path]))),
    policies: await readAll(await api.list("sys/policies/acl"), (name) =>
      api.find(`sys/policies/acl/${name}`),
    ),
    tokenRoles: await readAll(await api.list("auth/token/roles"), (name) =>
      api.find(`auth/token/roles/${name}`),
    ),
    tokens: await readAll(await api.list("auth/token/accessors"), async (accessor) => {
      const { data } = await api.write("auth/token/lookup-accessor", { accessor });
      const { ttl: _, ...token } = fields(data);
      return token;
    }),
  };
}

async function readContents(api: Api, mount: string, { type, options }: Fields): Promise<unknown> {
  const below = (folder: string) => async (name: string) => await api.read(`${mount}${folder}${name}`);
  if (type === "pki") {
    return {
      roles: await readAll(await api.list(`${mount}roles`), below("roles/")),
      issuers: await readAll(await api.list(`${mount}issuers`), below("issuer/")),
      certificates: await api.list(`${mount}certs`),
    };
  }
  if (type !== "generic" && (type !== "kv" || Object(options).version === "2")) return undefined;
  return await readAll(await api.list(mount.slice(0, -1)), below(""));
}

async function readAll(names: readonly string[], read: (name: string) => Promise<unknown>): Promise<Fields> {
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await read(name)] as const)));
}
