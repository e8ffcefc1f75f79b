import { Failure } from "../failure.ts";
import { certificatePaths } from "../host/certificate-place.ts";
import { keyModes, parseKeyMode } from "../host/key-mode.ts";
import { resolveOwnership } from "../host/owner.ts";
import type { Renewal } from "../renewal/renewal.ts";
import { callPolicy, type RenewalPolicy } from "../renewal/when-due.ts";
import { encodePath } from "../vault/path.ts";
import { chooseKeyType, keySizes, keyTypes } from "../x509/key-type.ts";
import { checkNames } from "../x509/names.ts";
import type { Arguments } from "./arguments.ts";

/** The positional arguments of every command that issues a certificate; the path of its files comes after them. */
export const certificateWords = {
  "sign-path": {
    type: "positional",
    required: true,
    description: "sign path of the role: CLUSTER/pki/MOUNT/sign/ROLE",
  },
  "common-name": { type: "positional", required: true, description: "common name of the certificate" },
} as const satisfies Arguments;

/** The flags of every command that issues a certificate. */
export const certificateArgs = {
  "san-hosts": {
    type: "string",
    alias: "s",
    list: true,
    mayBeEmpty: true,
    description: "further host names for the certificate",
    valueHint: "NAMES",
    group: "Names",
  },
  "ip-sans": {
    type: "string",
    alias: "i",
    list: true,
    mayBeEmpty: true,
    description: "IP addresses for the certificate",
    valueHint: "ADDRESSES",
    group: "Names",
  },
  organisation: {
    type: "string",
    alias: "n",
    list: true,
    mayBeEmpty: true,
    description: "organisations in the subject, if the role lets you choose them",
    valueHint: "NAMES",
    group: "Names",
  },
  "key-type": {
    type: "string",
    alias: "t",
    description: "rsa, ec or ed25519; without it, an existing key is kept, and a new key is ec",
    choices: keyTypes,
    valueHint: "TYPE",
    group: "Key",
  },
  "key-bit-size": {
    type: "string",
    alias: "b",
    description: keySizes,
    valueHint: "BITS",
    group: "Key",
  },
  "if-due": {
    type: "boolean",
    description: "issue only when less than a third of the lifetime is left, or when the request has changed",
    group: "When",
  },
  "refresh-ca": {
    type: "boolean",
    description:
      "check now whether the server's CAs have changed, and write them; without it, manifests check once a week",
    group: "When",
  },
  force: { type: "boolean", description: "issue in any case, with a new key", group: "Key" },
  "ca-chain": {
    type: "boolean",
    description: "also write the CAs above the mount's own to the CA file",
    group: "Files",
  },
  owner: {
    type: "string",
    alias: "o",
    description: "owner of the files, by name or number",
    valueHint: "USER",
    group: "Files",
  },
  group: {
    type: "string",
    alias: "g",
    description: "group of the files, by name or number",
    valueHint: "GROUP",
    group: "Files",
  },
  "key-mode": {
    type: "string",
    description:
      "mode of the key file: 0600, or 0640 so that its group can read it; without it, the mode asked for before, or 0600",
    choices: keyModes,
    valueHint: "MODE",
    group: "Files",
  },
} as const satisfies Arguments;

/** The values of those flags. */
export interface CertificateArgs {
  readonly "san-hosts"?: string | undefined;
  readonly "ip-sans"?: string | undefined;
  readonly organisation?: string | undefined;
  readonly "key-type"?: string | undefined;
  readonly "key-bit-size"?: string | undefined;
  readonly "if-due"?: boolean | undefined;
  readonly "refresh-ca"?: boolean | undefined;
  readonly force?: boolean | undefined;
  readonly "ca-chain"?: boolean | undefined;
  readonly owner?: string | undefined;
  readonly group?: string | undefined;
  readonly "key-mode"?: string | undefined;
}

/**
 * The certificate that a command line asks for. Every mistake in it is found here, before anything is done.
 *
 * @throws Failure (usage)
 */
export function readRenewal(
  args: CertificateArgs,
  words: { readonly signPath: string; readonly commonName: string; readonly destination: string },
): Renewal {
  const { signPath, commonName, destination } = words;
  encodePath(signPath);
  certificatePaths(destination);
  refuseIdleRefresh(args);
  const names = checkNames({
    commonName,
    organisations: list(args.organisation),
    dnsNames: list(args["san-hosts"]),
    ipAddresses: list(args["ip-sans"]),
  });
  return {
    signPath,
    names,
    destination,
    keyType: chooseKeyType(args["key-type"], args["key-bit-size"]),
    caChain: args["ca-chain"] === true,
    owner: resolveOwnership(args.owner, args.group),
    keyMode: args["key-mode"] === undefined ? undefined : parseKeyMode(args["key-mode"]),
    policy: readPolicy(args),
  };
}

function readPolicy(args: CertificateArgs): RenewalPolicy {
  if (args.force === true) return { renew: "now", newKey: true };
  if (args["if-due"] !== true) return { renew: "now", newKey: false };
  return callPolicy(args["refresh-ca"] === true ? "now" : "never");
}

/** Refuses --refresh-ca if it would do nothing: a new certificate brings the server's CAs with it. */
function refuseIdleRefresh(args: CertificateArgs): void {
  if (args["refresh-ca"] !== true || (args["if-due"] === true && args.force !== true)) return;
  const why = args.force === true ? "with --force" : "without --if-due";
  throw new Failure(
    "usage",
    `--refresh-ca is for a certificate that is not due, and ${why} a new one is always issued`,
    {
      hint: "the new one brings the server's CAs with it; leave --refresh-ca out, or use it with --if-due alone",
    },
  );
}

function list(text: string | undefined): string[] {
  return text === undefined ? [] : text.split(",").map((item) => item.trim());
}
