import { Failure } from "../failure.ts";
import { type RequestName, VaultError } from "./error.ts";

/**
 * The root of a server's address.
 *
 * @param from what it stands in, for the hint
 * @throws Failure (config) when it is not an http or https one
 */
export function parseAddress(address: string, from = "VAULT_ADDR"): URL {
  // The URL standard passes over a line feed or a tab in the middle, and reads https:host and https:\\host, too.
  const isPlain = /^https?:\/\/[^\s\\\p{Cc}]+$/iu.test(address);
  const url = isPlain && URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || url.hostname === "") {
    const shown = JSON.stringify(address.replace(/\/\/[^/]*@/, "//…@"));
    throw new Failure("config", `${shown} is not the address of a server`, {
      hint: `set ${from} to one like https://vault.example.com:8200`,
    });
  }
  // Left out, it would take the token to whatever stands at the root.
  if (`${url.pathname}${url.search}${url.hash}` !== "/" || url.username !== "" || url.password !== "") {
    throw new Failure("config", `the address of ${url.host} holds more than scheme, host and port`, {
      hint: `set ${from} to one like https://vault.example.com:8200; a path, a query and a user are not used`,
    });
  }
  return url;
}

/** This machine itself, by its name or its number. */
export function isLoopback(url: URL): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
}

/**
 * Where a standby says that its leader is. Only that is followed: the same path, on the same scheme or from http
 * to https; a redirect to anywhere else (a login page, a plain port) must not get the token.
 *
 * @see https://developer.hashicorp.com/vault/docs/concepts/ha#client-redirection
 */
export function redirectTarget(response: Response, from: URL, request: RequestName, hops: number): URL {
  const refuse = (how: string) =>
    new VaultError("unavailable", request, `HTTP ${response.status} ${how}, which is not followed`, {
      status: response.status,
      hint: "a standby sends to its leader's same path; check VAULT_ADDR, and the leader's api_addr",
    });
  const location = response.headers.get("location");
  if (location === null || !URL.canParse(location, from.href)) throw refuse("sends nowhere");
  const to = new URL(location, from.href);
  if (to.protocol !== "https:" && to.protocol !== from.protocol)
    throw refuse(`sends to ${to.protocol}//${to.host}`);
  if (to.pathname !== from.pathname || to.search !== from.search)
    throw refuse(`sends to another path on ${to.host}`);
  if (hops >= 2) throw refuse(`sends on for the third time, to ${to.host}`);
  return new URL("/", to.href);
}
