/** A meaning of a failed answer that its status alone does not tell. */
export type Meaning = keyof typeof meanings;

interface Words {
  /** HTTP statuses of such an answer. */
  readonly statuses: readonly number[];
  /** Parts of Vault's error. One of them is enough. */
  readonly vault: readonly string[];
  /** The same for OpenBao. */
  readonly openbao: readonly string[];
  /** The words have to be the whole error. */
  readonly whole?: true;
  /** The path to ask when the words alone don't settle it. */
  readonly settledBy?: string;
}

/** Words that both servers use. */
function both(statuses: readonly number[], ...words: readonly string[]): Words {
  return { statuses, vault: words, openbao: words };
}

/**
 * Everything that depends on a server's wording, which no API promises. The words are those of Vault 1.21.0 and
 * OpenBao 2.6.2. The tests hold recorded answers of both.
 */
export const meanings = {
  /**
   * The server does not know the token. OpenBao answers `refused` instead, unless the token ends during the request.
   */
  unknownToken: { statuses: [403], vault: ["invalid token", "bad token"], openbao: ["bad token"] },
  /**
   * The token is of no use, or there was none. OpenBao and old versions of Vault give this answer to an unknown token;
   * all give it to a token that is bound to other addresses. The path that settles it gives 200 to every other token,
   * with any policies: see `isUnknownToken`.
   */
  refused: { ...both([403], "permission denied"), whole: true, settledBy: "sys/internal/ui/mounts" },
  /** A policy has to grant `sudo`. Any other missing capability is 403 "1 error occurred: …". */
  needsSudo: both([400], "sudo privileges required"),
  /** The token can't be renewed: a root token, a batch token, or one that was made so. */
  notRenewable: both([400], "lease is not renewable", "batch tokens cannot be renewed"),
  /** No token has that accessor; or the request was the last use of the token that was sent. */
  unknownAccessor: both([400, 403, 404, 500], "invalid accessor", "token not found"),
  /** Nothing is mounted at the path, or the mount is being disabled. */
  notMounted: both([404], "no handler for route"),
  /** Vault has namespaces only in its Enterprise edition, and no words of its own for a missing one. */
  unknownNamespace: { statuses: [404], vault: [], openbao: ["namespace not found"] },
  /** A PKI mount has no issuer, or no default one. */
  noIssuer: both([400, 500], "no default issuer currently configured"),
  /** A sign path or a role names an issuer that the mount does not have. */
  unknownIssuer: both([500], "unable to find PKI issuer for reference"),
  /** A new key can't get a name that another key of the mount has. */
  keyNameTaken: both([400], "key name already in use"),
  /** An admin has removed the usage issuing-certificates from the issuer. */
  mayNotIssue: both([500], "requested usage issuing-certificates for issuer"),
  /** The CA's name constraints exclude a name. OpenBao signs it all the same. */
  excludedName: { statuses: [500], vault: ["is not authorized to sign for this name"], openbao: [] },
  /** The certificate would expire after the CA. */
  outlivesCa: both([400], "beyond the expiration of the CA"),
  unknownRole: both([400], "unknown role"),
  /** A role of key type `any` makes no keys. In OpenBao it does if the request names a key type. */
  signsOnly: both([400], "not allowed for issuing certificates"),
  /** The CSR's key has a type that the role does not allow. */
  otherKey: both([400], "role requires keys of type"),
  /** OpenBao can also seal a single namespace. */
  sealed: {
    statuses: [400, 503],
    vault: ["Vault is sealed"],
    openbao: ["Vault is sealed", "namespace is sealed"],
  },
  notInitialized: both([400, 503], "server is not yet initialized", "Vault is not initialized"),
  /** A standby without a leader. */
  noLeader: both([500], "local node not active", "Vault is in standby mode"),
} as const satisfies Record<string, Words>;

/** Whether an answer has this meaning, by its status and words. */
export function isSaid(meaning: Meaning, status: number, serverErrors: readonly string[]): boolean {
  const { statuses, vault, openbao, whole }: Words = meanings[meaning];
  if (!statuses.includes(status)) return false;
  const parts = [...vault, ...openbao];
  return serverErrors.some((words) =>
    parts.some((part) => (whole === true ? words === part : words.includes(part))),
  );
}
