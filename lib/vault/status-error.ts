import type { FailureKind } from "../failure.ts";
import { type RequestName, VaultError } from "./error.ts";
import { isSaid, type Meaning } from "./meaning.ts";

interface StatusRule {
  readonly kind: FailureKind;
  readonly hint?: string;
  readonly transient?: boolean;
  readonly untouched?: boolean;
}

/** What to make of an answer whose words tell what it means. */
const byMeaning: ReadonlyArray<readonly [Meaning, StatusRule]> = [
  [
    "outlivesCa",
    {
      kind: "unavailable",
      hint: "the CA ends before this certificate would: give the mount a new issuer, or the role a shorter TTL",
    },
  ],
  [
    // With 500, too: it won't pass, whatever the status promises.
    "noIssuer",
    {
      kind: "config",
      hint: "the mount has no CA, or none that it signs with: run setup-mounts for this cluster",
    },
  ],
  [
    // With 500, too, as the two below.
    "unknownIssuer",
    {
      kind: "config",
      hint: "an issuer of that name or id is not in the mount: check the sign path, and the role's issuer_ref",
    },
  ],
  [
    "mayNotIssue",
    {
      kind: "config",
      hint: "the issuer may not sign certificates: give it the usage issuing-certificates, or have another sign",
    },
  ],
  [
    "excludedName",
    {
      kind: "data",
      hint: "the CA's name constraints exclude it: ask for other names, or give the mount a CA that may sign them",
    },
  ],
  ["unknownRole", { kind: "config", hint: "check the sign path, or run write-roles for this cluster" }],
  ["signsOnly", { kind: "config", hint: "its keys stay on the host: use the sign path, MOUNT/sign/ROLE" }],
  [
    "otherKey",
    {
      kind: "data",
      hint: "run write-roles for this cluster to let its roles sign every key type, or ask for --key-type rsa",
    },
  ],
  [
    "notMounted",
    {
      kind: "config",
      hint: "nothing is mounted at that path on this server: check the path, VAULT_ADDR and VAULT_NAMESPACE",
    },
  ],
  ["unknownNamespace", { kind: "config", hint: "check VAULT_NAMESPACE" }],
  ["sealed", notYet("an operator has to unseal the server")],
  ["notInitialized", notYet("the server is not initialized or sealed: an operator has to open it")],
  ["noLeader", notYet("the cluster has no leader at the moment")],
];

/** What to make of one by its status alone. */
const byStatus: Readonly<Record<number, StatusRule>> = {
  400: { kind: "data" },
  412: notYet(),
  429: notYet("the server limits the rate of requests"),
  472: notYet("this node is a disaster recovery standby"),
  473: notYet("this node is a performance standby"),
};

/** The server has not acted, and may later. */
function notYet(hint?: string): StatusRule {
  return {
    kind: "temporary",
    transient: true,
    untouched: true,
    ...(hint === undefined ? {} : { hint }),
  };
}

/**
 * The error for an answer with a status that is not a success.
 *
 * @param capability what a policy must grant on the path for this request, named when it was refused
 * @see https://developer.hashicorp.com/vault/api-docs#http-status-codes
 */
export function statusError(
  request: RequestName & { readonly capability: string },
  status: number,
  serverErrors: readonly string[],
  retryAfterMs?: number,
): VaultError {
  const words = serverErrors.join("; ").replace(/\s+/g, " ").trim();
  const said = words === "" ? `HTTP ${status}` : `HTTP ${status}, ${words}`;
  const about = { status, serverErrors, retryAfterMs };
  // A token made with an id of our choice needs sudo, and for want of it the answer is 400.
  if (status === 403 || isSaid("needsSudo", status, serverErrors)) {
    const sentence = `permission denied (${said})`;
    return new VaultError("permission", request, sentence, {
      ...about,
      hint: refusalHint(request, status, serverErrors),
    });
  }
  const meant = byMeaning.find(([meaning]) => isSaid(meaning, status, serverErrors))?.[1];
  const rule = meant ?? byStatus[status];
  if (rule !== undefined) return new VaultError(rule.kind, request, said, { ...about, ...rule });
  return mayPass(status)
    ? new VaultError("temporary", request, said, { ...about, transient: true })
    : new VaultError("unavailable", request, said, about);
}

/** Whether trying again may help, by a status alone: not where the server, or a proxy, can't do what is asked at all. */
export function mayPass(status: number): boolean {
  return status === 429 || (status >= 500 && ![501, 505, 511].includes(status));
}

function refusalHint(
  { path, capability }: Parameters<typeof statusError>[0],
  status: number,
  serverErrors: readonly string[],
): string {
  const unknown =
    "the server does not know this token: it expired, was revoked, or belongs to another server";
  if (isSaid("unknownToken", status, serverErrors)) return unknown;
  if (isSaid("refused", status, serverErrors)) return `${unknown}; or it is bound to other addresses`;
  return `the token needs a policy with the ${capabilities(capability)} on ${path}`;
}

function capabilities(names: string): string {
  const quoted = names.split(" ").map((name) => `"${name}"`);
  return `${quoted.length === 1 ? "capability" : "capabilities"} ${quoted.join(" and ")}`;
}
