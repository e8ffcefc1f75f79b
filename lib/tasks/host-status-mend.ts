import { dirname } from "node:path";
import type { Manifest } from "../manifest/manifest.ts";
import type { Names } from "../x509/csr.ts";

/** Renews the token, or trades the init token for one. */
export function renewCall(configPath: string): string {
  return configPath === "/etc/vault" ? "renew-token" : `renew-token --config-path ${shellWord(configPath)}`;
}

/** Runs the hooks that are left of the manifests in a folder. */
export function hooksCall(configDir: string): string {
  return `issue-cert --config-dir ${shellWord(configDir)} --hooks only`;
}

/** Issues what the manifests beside this one ask for, and is due. */
export function manifestsCall({ file }: Manifest): string {
  return `issue-cert --config-dir ${shellWord(dirname(file))}`;
}

export interface DirectCall {
  /** Undefined where nobody knows. */
  readonly signPath: string | undefined;
  readonly names: Names;
  readonly caChain: boolean;
  readonly destination: string;
  /** To issue it whether it is due or not. */
  readonly isOrder: boolean;
}

/** The call that has a certificate issued as it was before. */
export function directCall({ signPath, names, caChain, destination, isOrder }: DirectCall): string {
  const { commonName, dnsNames, ipAddresses, organisations } = names;
  const flags = [
    ["-s", dnsNames],
    ["-i", ipAddresses],
    ["-n", organisations],
  ] as const;
  return [
    "issue-cert",
    ...(isOrder ? [] : ["--if-due"]),
    ...(caChain ? ["--ca-chain"] : []),
    ...flags.flatMap(([flag, values]) => (values.length === 0 ? [] : [flag, shellWord(values.join(","))])),
    signPath === undefined ? "SIGN-PATH" : shellWord(signPath),
    commonName === "" ? "COMMON-NAME" : shellWord(commonName),
    shellWord(destination),
  ].join(" ");
}

/** A word of a command line as a shell takes it. */
function shellWord(word: string): string {
  return /^[\w%+,./:=@-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
