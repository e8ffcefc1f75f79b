import { ExitCode } from "../failure.ts";
import { noIssuerWords, type RequestName, unknownTokenWords, VaultError } from "./error.ts";

interface StatusRule {
  readonly exitCode: ExitCode;
  readonly hint?: string;
  readonly transient?: boolean;
  readonly untouched?: boolean;
}

const mountWithoutCa: StatusRule = {
  exitCode: ExitCode.config,
  hint: "the mount has no CA, or none that it signs with: run setup-mounts for this cluster",
};

const rules: ReadonlyArray<readonly [status: number, words: RegExp, rule: StatusRule]> = [
  [
    400,
    /would result in notAfter .* beyond the expiration of the CA/,
    {
      exitCode: ExitCode.unavailable,
      hint: "the CA ends before this certificate would: give the mount a new issuer, or the role a shorter TTL",
    },
  ],
  [400, noIssuerWords, mountWithoutCa],
  // So says `sign`; it won't pass, whatever the status promises.
  [500, noIssuerWords, mountWithoutCa],
  [
    400,
    /unknown role/,
    {
      exitCode: ExitCode.config,
      hint: "check the sign path, or run write-roles for this cluster",
    },
  ],
  [
    400,
    /only signing/,
    { exitCode: ExitCode.config, hint: "its keys stay on the host: use the sign path, MOUNT/sign/ROLE" },
  ],
  [
    400,
    /role requires (keys|a key|.*key) (of|type)|key type/i,
    {
      exitCode: ExitCode.data,
      hint: "run write-roles for this cluster to let its roles sign every key type, or ask for --key-type rsa",
    },
  ],
  [
    400,
    /\bis sealed\b|not (yet )?initialized/i,
    {
      exitCode: ExitCode.tryLater,
      hint: "the server is not initialized or sealed: an operator has to open it",
      transient: true,
      untouched: true,
    },
  ],
  [400, /(?:)/, { exitCode: ExitCode.data }],
  [
    404,
    /no handler for route/,
    {
      exitCode: ExitCode.config,
      hint: "nothing is mounted at that path on this server: check the path, VAULT_ADDR and VAULT_NAMESPACE",
    },
  ],
  [412, /(?:)/, { exitCode: ExitCode.tryLater, transient: true, untouched: true }],
  [
    429,
    /(?:)/,
    {
      exitCode: ExitCode.tryLater,
      transient: true,
      untouched: true,
      hint: "the server limits the rate of requests",
    },
  ],
  [
    472,
    /(?:)/,
    {
      exitCode: ExitCode.tryLater,
      transient: true,
      untouched: true,
      hint: "this node is a disaster recovery standby",
    },
  ],
  [
    473,
    /(?:)/,
    {
      exitCode: ExitCode.tryLater,
      transient: true,
      untouched: true,
      hint: "this node is a performance standby",
    },
  ],
  [
    500,
    /local node not active|no active|node is not|standby/,
    {
      exitCode: ExitCode.tryLater,
      transient: true,
      untouched: true,
      hint: "the cluster has no leader at the moment",
    },
  ],
  [
    503,
    /sealed/,
    {
      exitCode: ExitCode.tryLater,
      transient: true,
      untouched: true,
      hint: "an operator has to unseal the server",
    },
  ],
];

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
  if (status === 403 || (status === 400 && /sudo privileges required/.test(words))) {
    const unknown = unknownTokenWords.test(words);
    return new VaultError(ExitCode.noPermission, request, `permission denied (${said})`, {
      ...about,
      hint: unknown
        ? "the server does not know this token: it expired, was revoked, or belongs to another server"
        : `the token needs a policy with the ${capabilities(request.capability)} on ${request.path}`,
    });
  }
  const rule = rules.find(([of, pattern]) => of === status && pattern.test(words))?.[2];
  if (rule !== undefined) return new VaultError(rule.exitCode, request, said, { ...about, ...rule });
  return status >= 500
    ? new VaultError(ExitCode.tryLater, request, said, { ...about, transient: true })
    : new VaultError(ExitCode.unavailable, request, said, about);
}

function capabilities(names: string): string {
  const quoted = names.split(" ").map((name) => `"${name}"`);
  return `${quoted.length === 1 ? "capability" : "capabilities"} ${quoted.join(" and ")}`;
}
