import { Failure } from "../failure.ts";
import { normalIp } from "./ip-address.ts";

/** The names in a certificate. */
export interface Names {
  readonly commonName: string;
  readonly organisations: readonly string[];
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

/** RFC 5280's upper bound. Servers accept longer names: `system:node:` with a host name may exceed it. */
export const longestCommonName = 64;
/** `system:node:` and the longest name in DNS. */
const longestAccepted = "system:node:".length + 253;

/**
 * Refuses names that a certificate can't hold, before the server is asked. Corrects names that clients would not
 * recognise:
 * - a host name loses the dot at its end;
 * - a node's name becomes lower case, as kubelet writes its own;
 * - an address in the common name is added to the IP SANs, where clients look for it.
 *
 * @throws Failure (usage) that says which name is wrong
 * @see RFC 5280, appendix A.1 (upper bounds) and section 4.2.1.6 (IA5String); RFC 6125, section 6.4
 */
export function checkNames(names: Names): Names {
  const { organisations } = names;
  const commonName = rightCommonName(names.commonName);
  const dnsNames = names.dnsNames.map(withoutDot);
  const address = normalIp(commonName);
  const isListed = names.ipAddresses.some((it) => normalIp(it) === address);
  const ipAddresses =
    address === undefined || isListed ? names.ipAddresses : [...names.ipAddresses, commonName];
  for (const [what, value, longest] of [
    ["common name", commonName, longestAccepted],
    ...organisations.map((name) => ["organisation", name, 64] as const),
  ] as const) {
    if (value.trim() === "" || value.length > longest || /[\p{Cc}\p{Cf}]/u.test(value)) {
      throw wrong(what, value, `it needs 1 to ${longest} characters, none of them invisible`);
    }
  }
  for (const name of dnsNames) checkHostName(name);
  for (const address of ipAddresses) {
    if (normalIp(address) === undefined) {
      throw wrong("IP address", address, "give it as 10.0.0.1 or fd00::1, without a zone or a prefix length");
    }
  }
  return { commonName, organisations, dnsNames, ipAddresses };
}

function checkHostName(name: string): void {
  if (/\P{ASCII}/u.test(name)) throw wrong("host name", name, "write an international name in its xn-- form");
  if (!/^[\x21-\x7e]{1,253}$/.test(name) || /[,;/"\\]/.test(name)) {
    throw wrong(
      "host name",
      name,
      'it needs 1 to 253 characters, none of them white space or one of , ; / " \\',
    );
  }
  if (normalIp(name) !== undefined) throw wrong("host name", name, "give an address among the IP SANs");
  // A server would turn it into an email address.
  if (name.includes("@")) throw wrong("host name", name, "give the host's name alone, without a user");
}

/** Removes the dot from host names only: a company's name may end with one. */
function rightCommonName(name: string): string {
  const [, node] = /^system:node:(.*)$/s.exec(name) ?? [];
  if (node !== undefined) return `system:node:${withoutDot(node.toLowerCase())}`;
  return /^[\w-]+(\.[\w-]+)*\.$/.test(name) ? withoutDot(name) : name;
}

/** In DNS a dot at the end marks a fully qualified name. Certificates write such names without it. */
function withoutDot(name: string): string {
  return /[^.]\.$/.test(name) ? name.slice(0, -1) : name;
}

function wrong(what: string, value: string, hint: string): Failure {
  return new Failure("usage", `${JSON.stringify(value)} can't be the ${what} of a certificate`, {
    hint,
  });
}

/**
 * Whether two sets of names are equal. Order, the case of host names and the spelling of addresses don't matter.
 *
 * @param implied a DNS name that may be in only one of the two: the server adds the common name
 */
export function isSameNames(found: Names, asked: Names, implied?: string): boolean {
  // A shortcut: most often they are identical.
  if (JSON.stringify(found) === JSON.stringify(asked)) return true;
  const hosts = ({ dnsNames }: Names) =>
    dnsNames.map((name) => name.toLowerCase()).filter((name) => name !== implied?.toLowerCase());
  return (
    found.commonName === asked.commonName &&
    isSameSet(found.organisations, asked.organisations) &&
    isSameSet(hosts(found), hosts(asked)) &&
    isSameSet(found.ipAddresses.map(comparable), asked.ipAddresses.map(comparable))
  );
}

function comparable(address: string): string {
  return normalIp(address) ?? address;
}

function isSameSet(a: readonly string[], b: readonly string[]): boolean {
  const [left, right] = [new Set(a), new Set(b)];
  return left.size === right.size && [...left].every((item) => right.has(item));
}
