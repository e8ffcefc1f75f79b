import type { Fields } from "../../lib/vault/shape.ts";

/** Plain calls of a server's API without lib/vault: for changes by hand, and to see what the server holds. */
export interface Api {
  readonly address: string;
  readonly token: string;
  /** The answer's `data`; undefined if there is nothing. */
  read(path: string): Promise<Fields | undefined>;
  /** Like `read`, but fails if there is nothing. */
  find(path: string): Promise<Fields>;
  /** The names below a path, sorted. */
  list(path: string): Promise<readonly string[]>;
  /** The whole answer. An empty answer is an empty object. */
  write(path: string, body: Fields): Promise<Fields>;
  remove(path: string): Promise<void>;
  /** This server with another token. */
  as(token: string): Api;
}

/** A refusal by the server, for tests that expect one. */
export class ApiError extends Error {
  readonly status: number;

  constructor(what: string, status: number, text: string) {
    super(`${what}: ${status} ${text}`);
    this.status = status;
  }
}

export function api(address: string, token: string): Api {
  async function call(method: string, path: string, body?: Fields): Promise<Fields> {
    const response = await fetch(`${address}/v1/${path}`, {
      method,
      headers: { "X-Vault-Token": token },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new ApiError(`${method} ${path}`, response.status, text);
    return text === "" ? {} : JSON.parse(text);
  }

  async function read(path: string): Promise<Fields | undefined> {
    try {
      const { data } = await call("GET", path);
      return fields(data);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }

  return {
    address,
    token,
    read,
    async find(path) {
      const found = await read(path);
      if (found === undefined) throw new Error(`there is nothing at ${path}`);
      return found;
    },
    async list(path) {
      const keys = (await read(`${path}?list=true`))?.keys;
      return Array.isArray(keys) ? keys.map(String).sort() : [];
    },
    write: (path, body) => call("POST", path, body),
    async remove(path) {
      await call("DELETE", path);
    },
    as: (other) => api(address, other),
  };
}

/** Checks that a value is an object. */
export function fields(value: unknown): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error("not an object");
  return Object.fromEntries(Object.entries(value));
}
