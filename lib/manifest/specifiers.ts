import { hostname } from "node:os";
import { ExitCode, Failure } from "../failure.ts";
import { ipv4Addresses, ipv6Addresses } from "./addresses.ts";

/** What a manifest may say of its host without naming it. */
export interface HostFacts {
  readonly hostName: string;
  /** The first address of each kind that is not of this machine alone. */
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
}

/** Read anew at each run: a host may be renamed, and get its addresses late. */
export function hostFacts(): HostFacts {
  return { hostName: hostname(), ipv4: ipv4Addresses()[0], ipv6: ipv6Addresses()[0] };
}

/**
 * A text with its specifiers resolved: `%H` host name, `%l` host name up to its first dot (both as systemd has
 * them), `%4` and `%6` the host's first IPv4 and IPv6 address, `%%` a percent sign.
 *
 * @throws Failure (configuration) for another letter, and for an address that the host does not have
 * @see https://www.freedesktop.org/software/systemd/man/latest/systemd.unit.html#Specifiers
 */
export function resolveSpecifiers(text: string, host: HostFacts): string {
  return text.replace(/%(.?)/gsu, (specifier, letter: string) => {
    const value = {
      H: host.hostName,
      l: host.hostName.split(".")[0],
      4: host.ipv4,
      6: host.ipv6,
      "%": "%",
    }[letter];
    if (value !== undefined && value !== "") return value;
    const why = /^[46]$/.test(letter)
      ? `this host has no IPv${letter} address`
      : "there is no such specifier";
    throw new Failure(ExitCode.config, `${specifier} can't be resolved: ${why}`, {
      hint: "use %H (host name), %l (its first label), %4, %6 (first address) or %% (a percent sign)",
    });
  });
}
