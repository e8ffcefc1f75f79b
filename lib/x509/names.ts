import { Failure } from "../failure.ts";
import { normalIp } from "./ip-address.ts";

/** Who a certificate is for. */
export interface Names {
  readonly commonName: string;
  readonly organisations: readonly string[];
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

/** RFC 5280's upper bound, which servers don't keep to: a node's name alone may have 63 characters. */
export const longestCommonName = 64;
/** `system:node:` and the longest name that DNS has. */
const longestTaken = "system:node:".length + 253;

/**
 * Refuses names that no certificate could hold, before anything is asked of anybody, and puts those right that no
 * client would find in it: a host name has no dot at its end there, a node's name no capitals (kubelet writes its own
 * in lower case), and a client looks for an address among the IP SANs alone.
 *
 * @throws Failure (usage) that names the one that is wrong
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
    ["common name", commonName, longestTaken],
    ...organisations.map((name) => ["organisation", name, 64] as const),
  ] as const) {
    if (value.trim() === "" || value.length > longest || /[\p{Cc}\p{Cf}]/u.test(value)) {
      throw wrong(what, value, `it has to have 1 to ${longest} characters, and none that can't be seen`);
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
      'it has to have 1 to 253 characters, none of them white space or one of , ; / " \\',
    );
  }
  if (normalIp(name) !== undefined) throw wrong("host name", name, "give an address among the IP SANs");
  // A server makes another kind of name of it.
  if (name.includes("@")) throw wrong("host name", name, "give the host's name alone, without a user");
}

/** What is no host's name may end with a dot, as a firm's does. */
function rightCommonName(name: string): string {
  const [, node] = /^system:node:(.*)$/s.exec(name) ?? [];
  if (node !== undefined) return `system:node:${withoutDot(node.toLowerCase())}`;
  return /^[\w-]+(\.[\w-]+)*\.$/.test(name) ? withoutDot(name) : name;
}

/** As DNS has it, the dot says that a name is whole; a certificate's always is. */
function withoutDot(name: string): string {
  return /[^.]\.$/.test(name) ? name.slice(0, -1) : name;
}

function wrong(what: string, value: string, hint: string): Failure {
  return new Failure("usage", `${JSON.stringify(value)} can't be the ${what} of a certificate`, {
    hint,
  });
}

/**
 * In any order, and however a host name or an address is written.
 *
 * @param implied a DNS name that may stand beside those asked for: the server adds the common name
 */
export function isSameNames(found: Names, asked: Names, implied?: string): boolean {
  // To the letter, most often.
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
