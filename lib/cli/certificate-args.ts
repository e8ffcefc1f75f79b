import { Failure } from "../failure.ts";
import { certificatePaths } from "../host/certificate-place.ts";
import { keyModes, parseKeyMode } from "../host/key-mode.ts";
import { resolveOwnership } from "../host/owner.ts";
import type { IssueOptions } from "../tasks/issue-certificate.ts";
import { encodePath } from "../vault/path.ts";
import { chooseKeyType, keySizes, keyTypes } from "../x509/key-type.ts";
import { checkNames } from "../x509/names.ts";
import type { Arguments } from "./arguments.ts";

/** The words by which a command line asks for a certificate, before the path of its files. */
export const certificateWords = {
  "sign-path": {
    type: "positional",
    required: true,
    description: "where the role signs: CLUSTER/pki/MOUNT/sign/ROLE",
  },
  "common-name": { type: "positional", required: true, description: "common name of the certificate" },
} as const satisfies Arguments;

/** The flags of every command that issues one. */
export const certificateArgs = {
  "san-hosts": {
    type: "string",
    alias: "s",
    list: true,
    mayBeEmpty: true,
    description: "host names that the certificate is for, too",
    valueHint: "NAMES",
    group: "Names",
  },
  "ip-sans": {
    type: "string",
    alias: "i",
    list: true,
    mayBeEmpty: true,
    description: "IP addresses that it is for",
    valueHint: "ADDRESSES",
    group: "Names",
  },
  organisation: {
    type: "string",
    alias: "n",
    list: true,
    mayBeEmpty: true,
    description: "organisations in its subject, where the role leaves them open",
    valueHint: "NAMES",
    group: "Names",
  },
  "key-type": {
    type: "string",
    alias: "t",
    description: "rsa, ec or ed25519; ec for a new key, any for one that is there",
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
    description: "issue only when less than a third of the life is left, or something asked for has changed",
    group: "When",
  },
  "refresh-ca": {
    type: "boolean",
    description:
      "take the server's CA at once where it is another by now; without it, manifests look once a week",
    group: "When",
  },
  force: { type: "boolean", description: "make a new key, too", group: "Key" },
  "ca-chain": {
    type: "boolean",
    description: "the whole chain in the CA file, not the signer alone",
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
    description: "mode of the key's file: what was asked for before, else 0600; with 0640 its group reads it",
    choices: keyModes,
    valueHint: "MODE",
    group: "Files",
  },
} as const satisfies Arguments;

/** What is given for those flags. */
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

type Order = Omit<IssueOptions, "client" | "signal" | "onNote">;

/**
 * The certificate that a command line orders. All that can be wrong with that is found, and nothing is done.
 *
 * @throws Failure (usage)
 */
export function certificateOrder(
  args: CertificateArgs,
  words: { readonly signPath: string; readonly commonName: string; readonly destination: string },
): Order {
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
    ifDue: args["if-due"] === true,
    caLook: args["refresh-ca"] === true ? "now" : undefined,
    force: args.force === true,
  };
}

/** What is issued in any case comes with the server's CA. */
function refuseIdleRefresh(args: CertificateArgs): void {
  if (args["refresh-ca"] !== true || (args["if-due"] === true && args.force !== true)) return;
  const why = args.force === true ? "with --force" : "without --if-due";
  throw new Failure(
    "usage",
    `--refresh-ca is for one that is not due, and ${why} a new one is issued in any case`,
    { hint: "it brings the server's CA along; leave --refresh-ca out, or have it with --if-due alone" },
  );
}

function list(text: string | undefined): string[] {
  return text === undefined ? [] : text.split(",").map((item) => item.trim());
}
