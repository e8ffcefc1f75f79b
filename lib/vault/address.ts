import { Failure } from "../failure.ts";
import { type RequestName, VaultError } from "./error.ts";

/**
 * Parses a server's address.
 *
 * @param from the variable that holds it, for the hint
 * @throws Failure (config) if it is not `http` or `https` with a host and perhaps a port, and nothing else
 */
export function parseAddress(address: string, from = "VAULT_ADDR"): URL {
  // URL ignores a line feed or a tab in the middle, and also accepts https:host and https:\\host.
  const isPlain = /^https?:\/\/[^\s\\\p{Cc}]+$/iu.test(address);
  const url = isPlain && URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || url.hostname === "") {
    const shown = JSON.stringify(address.replace(/\/\/[^/]*@/, "//…@"));
    throw new Failure("config", `${shown} is not the address of a server`, {
      hint: `set ${from} to one like https://vault.example.com:8200`,
    });
  }
  // Requests go to the server's root. Ignoring a path might send the token to another service.
  if (`${url.pathname}${url.search}${url.hash}` !== "/" || url.username !== "" || url.password !== "") {
    throw new Failure("config", `the address of ${url.host} holds more than scheme, host and port`, {
      hint: `set ${from} to one like https://vault.example.com:8200; a path, a query and a user are not used`,
    });
  }
  return url;
}

/** Whether a URL leads to this machine itself, by name or by address. */
export function isLoopback(url: URL): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
}

/**
 * The leader that a standby redirects to. Only such a redirect is followed: to the same path, with the same scheme or
 * from http to https. Any other target (a login page, a plain port) must not get the token.
 *
 * @see https://developer.hashicorp.com/vault/docs/concepts/ha#client-redirection
 */
export function redirectTarget(response: Response, from: URL, request: RequestName, hops: number): URL {
  const refuse = (how: string) =>
    new VaultError("unavailable", request, `HTTP ${response.status} ${how}, which is not followed`, {
      status: response.status,
      hint: "a standby redirects to the same path on its leader; check VAULT_ADDR and the leader's api_addr",
    });
  const location = response.headers.get("location");
  if (location === null || !URL.canParse(location, from.href)) throw refuse("redirects to nowhere");
  const to = new URL(location, from.href);
  if (to.protocol !== "https:" && to.protocol !== from.protocol)
    throw refuse(`redirects to ${to.protocol}//${to.host}`);
  if (to.pathname !== from.pathname || to.search !== from.search)
    throw refuse(`redirects to another path on ${to.host}`);
  if (hops >= 2) throw refuse(`redirects for the third time, to ${to.host}`);
  return new URL("/", to.href);
}
