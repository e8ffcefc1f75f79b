import { request } from "node:http";
import { connect as connectPlain, isIP, type Socket } from "node:net";
import { connect, type PeerCertificate } from "node:tls";
import type { ProxyServer, TlsOptions } from "./connection.ts";

/** An unverified certificate, for messages only. */
export interface ShownCertificate {
  readonly issuer: string;
  /** Its alternative names, or else its subject. */
  readonly names: string;
  readonly notAfter: Date;
}

const limitMs = 5_000;

/**
 * Reads a server's certificate without verifying it. No request is sent.
 *
 * @returns undefined if the server can't be reached
 */
export async function lookAtCertificate(
  url: URL,
  { serverName }: TlsOptions,
  proxy: ProxyServer | undefined,
  signal: AbortSignal,
): Promise<ShownCertificate | undefined> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = Number(url.port || 443);
  try {
    using connection = disposable(
      proxy === undefined ? connectPlain({ host, port }) : await tunnel(host, port, proxy),
    );
    const name = serverName ?? host;
    return await new Promise((resolve, reject) => {
      limit.addEventListener("abort", () => reject(limit.reason), { once: true });
      const socket = connect(
        {
          socket: connection.socket,
          ...(isIP(name) === 0 ? { servername: name } : {}),
          rejectUnauthorized: false,
          ALPNProtocols: ["http/1.1", "h2"],
        },
        () => resolve(shownOf(socket.getPeerCertificate())),
      );
      socket.on("error", reject);
    });
  } catch {
    return undefined;
  }
}

function disposable(socket: Socket): Disposable & { readonly socket: Socket } {
  return { socket, [Symbol.dispose]: () => void socket.destroy() };
}

/** @see RFC 9110, section 9.3.6 */
function tunnel(host: string, port: number, { url }: ProxyServer): Promise<Socket> {
  if (url.protocol !== "http:") throw new Error("proxies with TLS are not supported here");
  const path = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const { username, password } = url;
  const user = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`);
  return new Promise((resolve, reject) => {
    const asked = request({
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port: url.port || 80,
      method: "CONNECT",
      path,
      headers: {
        Host: path,
        ...(username === "" ? {} : { "Proxy-Authorization": `Basic ${user.toString("base64")}` }),
      },
      timeout: limitMs,
    });
    asked.on("connect", ({ statusCode }, socket) =>
      statusCode === 200 ? resolve(socket) : reject(new Error(`HTTP ${statusCode}`)),
    );
    asked.on("error", reject);
    asked.on("timeout", () => asked.destroy(new Error("no answer")));
    asked.end();
  });
}

function shownOf({ issuer, subject, subjectaltname, valid_to }: PeerCertificate): ShownCertificate {
  return {
    issuer: named(issuer),
    names: subjectaltname === undefined ? named(subject) : quoted(subjectaltname),
    notAfter: new Date(valid_to),
  };
}

function named(name: PeerCertificate["issuer"]): string {
  return quoted(
    Object.entries(name)
      .map(([type, value]) => `${type}=${[value].flat().join("+")}`)
      .join(", "),
  );
}

/** The text comes from an unknown server. */
function quoted(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}
