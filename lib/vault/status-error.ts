import type { FailureKind } from "../failure.ts";
import { mayPass, type RequestName, VaultError } from "./error.ts";
import { isSaid, type Meaning } from "./meaning.ts";

interface StatusRule {
  readonly kind: FailureKind;
  readonly hint?: string;
  readonly transient?: boolean;
  readonly untouched?: boolean;
}

/** Rules for answers whose words tell what they mean. */
const byMeaning: ReadonlyArray<readonly [Meaning, StatusRule]> = [
  [
    "outlivesCa",
    {
      kind: "unavailable",
      hint: "the CA expires before this certificate would: an admin renews the CA (rotate-ca CLUSTER MOUNT), or gives the role a shorter TTL",
    },
  ],
  [
    // The server answers 500 or 400, but waiting doesn't help.
    "noIssuer",
    {
      kind: "config",
      hint: "the mount has no CA, or no default one: run setup-mounts for this cluster",
    },
  ],
  [
    // This and the two below come with 500, and waiting doesn't help either.
    "unknownIssuer",
    {
      kind: "config",
      hint: "the mount has no issuer of that name or id: check the sign path and the role's issuer_ref",
    },
  ],
  [
    "mayNotIssue",
    {
      kind: "config",
      hint: "the issuer may not sign certificates: give it the usage issuing-certificates, or use another issuer",
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
  ["signsOnly", { kind: "config", hint: "the role only signs CSRs: use its sign path, MOUNT/sign/ROLE" }],
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
  [
    "notInitialized",
    notYet("the server is not initialized, or sealed: an operator has to initialize or unseal it"),
  ],
  ["noLeader", notYet("the cluster has no leader at the moment")],
];

/** Rules for a status alone. */
const byStatus: Readonly<Record<number, StatusRule>> = {
  400: { kind: "data" },
  412: notYet(),
  429: notYet("the server limits the rate of requests"),
  472: notYet("this node is a disaster recovery standby"),
  473: notYet("this node is a performance standby"),
};

/** The server did not act on the request, but may when it is sent again. */
function notYet(hint?: string): StatusRule {
  return {
    kind: "temporary",
    transient: true,
    untouched: true,
    ...(hint === undefined ? {} : { hint }),
  };
}

/**
 * The error for an answer whose status is not a success.
 *
 * @param request with the capability that a policy must grant for it; the hint names that if it was refused
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
  // Making a token with a chosen id needs sudo. Without it, the answer is 400.
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
