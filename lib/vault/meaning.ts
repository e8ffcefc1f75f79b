/** What an answer that is not a success means, where its status alone does not tell. */
export type Meaning = keyof typeof meanings;

interface Words {
  /** HTTP statuses that such an answer has. */
  readonly statuses: readonly number[];
  /** Parts of what Vault says; one of them is enough. */
  readonly vault: readonly string[];
  /** The same for OpenBao. */
  readonly openbao: readonly string[];
  /** They are all that is said, not a part of it. */
  readonly whole?: true;
  /** The path that is asked where they leave it open. */
  readonly settledBy?: string;
}

/** Words that both servers use. */
function both(statuses: readonly number[], ...words: readonly string[]): Words {
  return { statuses, vault: words, openbao: words };
}

/**
 * Everything that depends on a server's wording, which no API promises. The words are those of Vault 1.21.0 and
 * OpenBao 2.6.2; the tests hold what each was seen to answer.
 */
export const meanings = {
  /** The server does not know the token that was sent. OpenBao says "refused" instead, but for one that ends meanwhile. */
  unknownToken: { statuses: [403], vault: ["invalid token", "bad token"], openbao: ["bad token"] },
  /**
   * The token is of no use, or there was none. OpenBao, and old versions of Vault, say so of a token that they don't
   * know; both say so of one that is bound to other addresses. The path that settles it gives 200 to any other token
   * that the server knows, whatever its policies: see `isUnknownToken`.
   */
  refused: { ...both([403], "permission denied"), whole: true, settledBy: "sys/internal/ui/mounts" },
  /** A right that a policy has to grant with `sudo`. Any other right that is missing is 403 "1 error occurred: …". */
  needsSudo: both([400], "sudo privileges required"),
  /** The token lives on to its end: a root token, a batch token, or one made so. */
  notRenewable: both([400], "lease is not renewable", "batch tokens cannot be renewed"),
  /** No token has that accessor; or the token that was sent is gone, since the request was the last that it was good for. */
  unknownAccessor: both([400, 403, 404, 500], "invalid accessor", "token not found"),
  /** Nothing is mounted at the path, or what is there is being taken away. */
  notMounted: both([404], "no handler for route"),
  /** Vault has namespaces in its paid edition alone, and no word of its own for one that is not there. */
  unknownNamespace: { statuses: [404], vault: [], openbao: ["namespace not found"] },
  /** A PKI mount has no issuer, or none that is its default. */
  noIssuer: both([400, 500], "no default issuer currently configured"),
  /** The issuer that a sign path or a role names is not there. */
  unknownIssuer: both([500], "unable to find PKI issuer for reference"),
  /** An admin has taken from the issuer what it needs to sign certificates. */
  mayNotIssue: both([500], "requested usage issuing-certificates for issuer"),
  /** A name that the CA's name constraints exclude. OpenBao signs it. */
  excludedName: { statuses: [500], vault: ["is not authorized to sign for this name"], openbao: [] },
  /** The role's TTL ends after the CA. */
  outlivesCa: both([400], "beyond the expiration of the CA"),
  unknownRole: both([400], "unknown role"),
  /** A role of key type `any` makes no keys; OpenBao's does if the request names their type. */
  signsOnly: both([400], "not allowed for issuing certificates"),
  /** The role is for other keys than the CSR's. */
  otherKey: both([400], "role requires keys of type"),
  /** OpenBao can seal a namespace alone. */
  sealed: {
    statuses: [400, 503],
    vault: ["Vault is sealed"],
    openbao: ["Vault is sealed", "namespace is sealed"],
  },
  notInitialized: both([400, 503], "server is not yet initialized", "Vault is not initialized"),
  /** Of a standby. */
  noLeader: both([500], "local node not active", "Vault is in standby mode"),
} as const satisfies Record<string, Words>;

/** Whether an answer means that, by its status and words. */
export function isSaid(meaning: Meaning, status: number, serverErrors: readonly string[]): boolean {
  const { statuses, vault, openbao, whole }: Words = meanings[meaning];
  if (!statuses.includes(status)) return false;
  const parts = [...vault, ...openbao];
  return serverErrors.some((words) =>
    parts.some((part) => (whole === true ? words === part : words.includes(part))),
  );
}
