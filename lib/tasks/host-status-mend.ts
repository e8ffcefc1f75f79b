import { dirname } from "node:path";
import type { Ownership } from "../host/durable.ts";
import { keyModeText } from "../host/key-mode.ts";
import type { Manifest } from "../manifest/manifest.ts";
import { shellQuoted } from "../words.ts";
import type { Names } from "../x509/names.ts";

/** Renews the token, or trades the init token for one. */
export function renewCall(configPath: string): string {
  return call("renew-token", configPath);
}

/** Runs the hooks that are left of the manifests in a folder. */
export function hooksCall(configDir: string, configPath: string): string {
  return `${folderCall(configDir, configPath)}${onlyHooks}`;
}

/** Issues what the manifests beside this one ask for, and is due. */
export function manifestsCall({ file }: Manifest, { configPath, refreshCa }: CallOptions): string {
  return `${folderCall(dirname(file), configPath)}${refreshCa ? andCa : ""}`;
}

const onlyHooks = " --hooks only";
const andCa = " --refresh-ca";

/** Each command once, and none that another does along with its own. */
export function withoutRepeats(commands: readonly string[]): readonly string[] {
  const all = new Set(commands);
  const isDone = (command: string) => {
    // Who issues what the manifests ask for runs their hooks, too.
    const issues = command.endsWith(onlyHooks) ? command.slice(0, -onlyHooks.length) : command;
    return (issues !== command && all.has(issues)) || all.has(issues + andCa);
  };
  const left = [...all].filter((command) => !isDone(command));
  const [enabling, others] = [left.filter(isEnabling), left.filter((command) => !isEnabling(command))];
  const timers = enabling.map((command) => command.slice(enable.length));
  return timers.length === 0 ? others : [...others, enableCall(...timers)];
}

const enable = "systemctl enable --now ";

/** Has timers fire from now on, and after each boot. */
export function enableCall(...timers: readonly string[]): string {
  return `${enable}${timers.join(" ")}`;
}

function isEnabling(command: string): boolean {
  return command.startsWith(enable);
}

function folderCall(configDir: string, configPath: string): string {
  return `${call("issue-cert", configPath)} --config-dir ${shellWord(configDir)}`;
}

/** A host's own command, and where its tokens are if not where they are looked for. */
function call(command: string, configPath: string): string {
  return configPath === "/etc/vault" ? command : `${command} --config-path ${shellWord(configPath)}`;
}

export interface CallOptions {
  /** Of the host's tokens. */
  readonly configPath: string;
  /** The server has another CA by now, which no run looks at before its time. */
  readonly refreshCa: boolean;
}

export interface DirectCall extends CallOptions {
  /** Undefined where nobody knows. */
  readonly signPath: string | undefined;
  readonly names: Names;
  readonly caChain: boolean;
  readonly destination: string;
  /** Of its files, where one was asked for. */
  readonly owner: Ownership | undefined;
  /** Of the key, where one was asked for. */
  readonly keyMode: number | undefined;
}

/** The call that has a certificate issued as it was before. */
export function directCall(wanted: DirectCall): string {
  const { signPath, names, caChain, destination, owner, keyMode, ...options } = wanted;
  const { commonName, dnsNames, ipAddresses, organisations } = names;
  const flags = [
    ["-s", dnsNames],
    ["-i", ipAddresses],
    ["-n", organisations],
  ] as const;
  return [
    call("issue-cert", options.configPath),
    `--if-due${options.refreshCa ? andCa : ""}`,
    ...(caChain ? ["--ca-chain"] : []),
    ...(owner === undefined ? [] : ["-o", String(owner.uid), "-g", String(owner.gid)]),
    ...(keyMode === undefined ? [] : ["--key-mode", keyModeText(keyMode)]),
    ...flags.flatMap(([flag, values]) => (values.length === 0 ? [] : [flag, shellWord(values.join(","))])),
    signPath === undefined ? "SIGN-PATH" : shellWord(signPath),
    commonName === "" ? "COMMON-NAME" : shellWord(commonName),
    shellWord(destination),
  ].join(" ");
}

/** A word of a command line as a shell takes it. */
function shellWord(word: string): string {
  return /^[\w%+,./:=@-]+$/.test(word) ? word : shellQuoted(word);
}
