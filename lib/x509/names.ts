import { ExitCode, Failure } from "../failure.ts";
import { normalIp } from "./ip-address.ts";

/** Who a certificate is for. */
export interface Names {
  readonly commonName: string;
  readonly organisations: readonly string[];
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

/**
 * Refuses names that no certificate could hold, before anything is asked of anybody.
 *
 * @throws Failure (usage) that names the one that is wrong
 * @see RFC 5280, appendix A.1 (upper bounds) and section 4.2.1.6 (IA5String)
 */
export function checkNames(names: Names): Names {
  const { commonName, organisations, dnsNames, ipAddresses } = names;
  for (const [what, value] of [
    ["common name", commonName],
    ...organisations.map((name) => ["organisation", name] as const),
  ] as const) {
    if (value.trim() === "" || value.length > 64 || /[\p{Cc}\p{Cf}]/u.test(value)) {
      throw wrong(what, value, "it has to have 1 to 64 characters, and none that can't be seen");
    }
  }
  for (const name of dnsNames) {
    if (/\P{ASCII}/u.test(name))
      throw wrong("host name", name, "write an international name in its xn-- form");
    if (!/^[\x21-\x7e]{1,253}$/.test(name) || /[,;/"\\]/.test(name)) {
      throw wrong(
        "host name",
        name,
        'it has to have 1 to 253 characters, none of them white space or one of , ; / " \\',
      );
    }
    if (normalIp(name) !== undefined) throw wrong("host name", name, "give an address among the IP SANs");
  }
  for (const address of ipAddresses) {
    if (normalIp(address) === undefined) {
      throw wrong("IP address", address, "give it as 10.0.0.1 or fd00::1, without a zone or a prefix length");
    }
  }
  return names;
}

function wrong(what: string, value: string, hint: string): Failure {
  return new Failure(ExitCode.usage, `${JSON.stringify(value)} can't be the ${what} of a certificate`, {
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
