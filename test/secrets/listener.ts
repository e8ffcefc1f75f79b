import type { CertificateFiles } from "../support/certificates.ts";

/** A request before it is forwarded. */
export interface Heard {
  readonly method: string;
  /** Below `/v1/`. */
  readonly path: string;
}

/**
 * Answers instead of the server, or returns undefined to forward the request. `pass` forwards it to spoil its answer.
 */
type Spoil = (heard: Heard, pass: () => Promise<Response>) => Response | undefined | Promise<Response>;

export interface Listener extends AsyncDisposable {
  readonly address: string;
  /** Every secret that passed, in either direction. */
  readonly secrets: ReadonlySet<string>;
  spoil: Spoil | undefined;
}

/** A TLS proxy for a real server that remembers each secret. */
export function startListener(upstream: string, tls: CertificateFiles): Listener {
  const secrets = new Set<string>();
  const listener: { spoil: Spoil | undefined } = { spoil: undefined };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 60,
    tls: { cert: tls.cert, key: tls.key },
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      const token = request.headers.get("x-vault-token");
      if (token !== null) secrets.add(token);
      const body = await request.text();
      for (const secret of secretsIn(body)) secrets.add(secret);
      const pass = async () => {
        const answer = await fetch(new URL(pathname + search, upstream), {
          method: request.method,
          ...(token === null ? {} : { headers: { "X-Vault-Token": token } }),
          ...(body === "" ? {} : { body }),
        });
        const text = await answer.text();
        for (const secret of secretsIn(text)) secrets.add(secret);
        return new Response(answer.status === 204 ? null : text, { status: answer.status });
      };
      const path = decodeURIComponent(pathname.replace(/^\/v1\//, ""));
      return (await listener.spoil?.({ method: request.method, path }, pass)) ?? (await pass());
    },
  });
  return Object.assign(listener, {
    address: `https://127.0.0.1:${server.port}`,
    secrets,
    [Symbol.asyncDispose]: () => server.stop(true),
  });
}

/** Finds secrets by their names in the API: tokens, the cluster's keys, and keys of certificates. */
function secretsIn(json: string): string[] {
  const found: string[] = [];
  try {
    JSON.parse(json, (name, value: unknown) => {
      if (typeof value !== "string" || value === "") return value;
      if (["client_token", "init_token", "key", "private_key"].includes(name)) found.push(...pieces(value));
      // The id of a new token.
      if (name === "id" && json.includes('"display_name"')) found.push(value);
      if (name === "content") found.push(...(value.match(/(?<=secret: )\S+/g) ?? []));
      return value;
    });
  } catch {
    // an error page instead of JSON
  }
  return found;
}

/** The lines of a key, so that a part of it is found as well. A token is one piece. */
export function pieces(secret: string): string[] {
  if (!secret.includes("-----BEGIN")) return [secret];
  return secret.split("\n").filter((line) => line.length >= 40 && !line.startsWith("-----"));
}
