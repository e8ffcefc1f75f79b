import { hostname } from "node:os";
import { Failure } from "../failure.ts";
import { ipv4Addresses, ipv6Addresses } from "./addresses.ts";

/** The facts about a host that specifiers stand for. */
export interface HostFacts {
  readonly hostName: string;
  /** The first address of each kind that other machines can reach. */
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
}

/** Reads them again at each run, since a host may be renamed, or get its addresses after the boot. */
export function hostFacts(): HostFacts {
  let [ipv4, ipv6]: Array<string | undefined> = [];
  return {
    hostName: hostname(),
    // Only on demand, since reading a long list of routes takes time.
    get ipv4() {
      ipv4 ??= ipv4Addresses()[0];
      return ipv4;
    },
    get ipv6() {
      ipv6 ??= ipv6Addresses()[0];
      return ipv6;
    },
  };
}

/**
 * Resolves the specifiers in a string: `%H` host name, `%l` host name up to the first dot (both as in systemd), `%4` and
 * `%6` the host's first IPv4 and IPv6 address, `%%` a percent sign.
 *
 * The host name may become part of a path, and users other than root may be able to set it. So it is checked first.
 *
 * @throws Failure (config) for an unknown specifier, a missing address or an invalid host name
 * @see https://www.freedesktop.org/software/systemd/man/latest/systemd.unit.html#Specifiers
 */
export function resolveSpecifiers(text: string, host: HostFacts): string {
  return text.replace(/%(.?)/gsu, (specifier, letter: string) => {
    const value = specifierValue(letter, host);
    if (value !== undefined && value !== "") return value;
    const why = /^[46]$/.test(letter)
      ? `this host has no IPv${letter} address`
      : "there is no such specifier";
    throw new Failure("config", `${specifier} can't be resolved: ${why}`, {
      hint: "use %H (host name), %l (its first label), %4, %6 (first address) or %% (a percent sign)",
    });
  });
}

function specifierValue(letter: string, host: HostFacts): string | undefined {
  switch (letter) {
    case "H":
      return checkedName(letter, host);
    case "l":
      return checkedName(letter, host).split(".")[0];
    case "4":
      return host.ipv4;
    case "6":
      return host.ipv6;
    case "%":
      return "%";
  }
  return undefined;
}

/** Labels of letters, digits, hyphens and underscores (RFC 1123, section 2.1), with an optional dot at the end like systemd. */
const hostNamePattern = /^[A-Za-z0-9_][\w-]*(?:\.[A-Za-z0-9_][\w-]*)*\.?$/;

function checkedName(letter: string, { hostName }: HostFacts): string {
  if (hostNamePattern.test(hostName)) return hostName;
  throw new Failure(
    "config",
    `%${letter} can't be resolved: this host's name is ${JSON.stringify(hostName)}, which is not a host name`,
    { hint: "set it with hostnamectl: letters, digits, hyphens and dots" },
  );
}
