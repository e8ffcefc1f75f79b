import { Failure } from "../failure.ts";
import { isLoopback } from "../vault/address.ts";
import type { ProxyServer } from "../vault/connection.ts";
import { ipBytes } from "../x509/ip-address.ts";
import { type Environment, variableName } from "./variable.ts";

/**
 * The proxy for an address, by the rules of the server's own command line. `VAULT_PROXY_ADDR`, else `VAULT_HTTP_PROXY`,
 * is for every address. Else `HTTPS_PROXY` or `HTTP_PROXY` is for every address except this machine's own and those in
 * `NO_PROXY`.
 *
 * @returns undefined if there is none
 * @throws Failure (config) that names the variable, but not its value, which may contain a password
 * @see https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
 */
export function proxyFor(env: Environment, to: URL): ProxyServer | undefined {
  const own = ["PROXY_ADDR", "HTTP_PROXY"].map((name) => variableName(env, name)).find((name) => env[name]);
  if (own !== undefined) return parseProxy(own, env[own] ?? "");
  const name = to.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY";
  const from = [name, name.toLowerCase()].find((it) => env[it]);
  if (from === undefined || isLoopback(to)) return undefined;
  if (isExempt(to, env.NO_PROXY || env.no_proxy || "")) return undefined;
  return parseProxy(from, env[from] ?? "");
}

function parseProxy(from: string, text: string): ProxyServer {
  const trimmed = text.trim();
  const address = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `http://${trimmed}`;
  const url = /[\s\p{Cc}]/u.test(address) || !URL.canParse(address) ? undefined : new URL(address);
  if (url !== undefined && url.hostname !== "" && /^https?:$/.test(url.protocol)) return { from, url };
  const how = url === undefined || url.hostname === "" ? "is not an address" : `asks for ${url.protocol}//`;
  throw new Failure("config", `${from} names a proxy that can't be used: it ${how}`, {
    hint: "set it to one like http://proxy.example.com:3128",
  });
}

/** Whether a `NO_PROXY` list covers an address, by name, address or network. */
function isExempt(to: URL, list: string): boolean {
  const host = to.hostname.replace(/^\[|\]$|\.$/g, "");
  const port = to.port || (to.protocol === "https:" ? "443" : "80");
  return list.split(/[\s,]+/).some((entry) => covers(entry.toLowerCase(), host, port));
}

function covers(entry: string, host: string, port: string): boolean {
  if (entry === "*") return true;
  const [network = "", length] = entry.split("/");
  if (length !== undefined) return isInNetwork(network, Number(length), host);
  // A port follows the only colon, or an IPv6 address in brackets.
  const [, bracketed, plain = "", ofPort] =
    /^(?:\[([^\]]*)\]|([^:]*|.*:.*:.*?))(?::(\d+))?$/.exec(entry) ?? [];
  const name = (bracketed ?? plain).replace(/^\*?\.|\.$/g, "");
  if (name === "" || (ofPort !== undefined && ofPort !== port)) return false;
  const [bytes, hostBytes] = [ipBytes(name), ipBytes(host)];
  if (bytes !== undefined || hostBytes !== undefined) return bytes?.join() === hostBytes?.join();
  return host === name || host.endsWith(`.${name}`);
}

function isInNetwork(network: string, bits: number, host: string): boolean {
  const [prefix, bytes] = [ipBytes(network), ipBytes(host)];
  if (prefix === undefined || bytes === undefined || prefix.length !== bytes.length) return false;
  const binary = (it: Uint8Array) => [...it].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return (
    Number.isInteger(bits) && bits >= 0 && binary(prefix).slice(0, bits) === binary(bytes).slice(0, bits)
  );
}
