import type { Meaning } from "../../lib/vault/meaning.ts";

/** A refusal, word for word as a server sent it. */
export interface Said {
  readonly status: number;
  readonly errors: readonly string[];
}

export interface Recorded {
  readonly vault: Said;
  readonly openbao: Said;
  /** The meaning that lib/vault sees in both. */
  readonly meaning?: Meaning;
  /** OpenBao's answer, if it differs. */
  readonly openbaoMeaning?: Meaning;
}

/** The servers that this was recorded from, with the version from `sys/health`. */
export const recordedVersions = { vault: "1.21.0", openbao: "2.6.2" } as const;

function both(status: number, ...errors: readonly string[]): Pick<Recorded, "vault" | "openbao"> {
  return { vault: { status, errors }, openbao: { status, errors } };
}

const notGranted = both(403, "1 error occurred:\n\t* permission denied\n\n");
const bare = both(403, "permission denied");
const invalid: Said = {
  status: 403,
  errors: ["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"],
};
const unknown: Recorded = { ...bare, vault: invalid, meaning: "unknownToken", openbaoMeaning: "refused" };

/**
 * Refusals of both servers, word for word, with TIME in the place of times. They were copied from servers in dev mode,
 * on 27 November 2026. test/vault/recorded.test.ts provokes each of them again, and compares.
 */
export const recorded = {
  "a renewal with an unknown token": unknown,
  "a lookup with an unknown token": unknown,
  "a creation with an unknown token": unknown,
  "any look at the mounts with an unknown token": unknown,
  "a renewal with a token bound to other addresses": { ...bare, meaning: "refused" },
  "any look at the mounts with a token bound to other addresses": { ...bare, meaning: "refused" },
  "a renewal without a token": { ...bare, meaning: "refused" },
  "a renewal that no policy grants": notGranted,
  "a creation that no policy grants": notGranted,
  "an admin's lookup of an unknown token": { ...both(403, "bad token"), meaning: "unknownToken" },
  "an id of one's choice without sudo": {
    ...both(400, "root or sudo privileges required to specify token id"),
    meaning: "needsSudo",
  },
  "the renewal of a root token": { ...both(400, "lease is not renewable"), meaning: "notRenewable" },
  "the renewal of a batch token": {
    ...both(400, "batch tokens cannot be renewed"),
    meaning: "notRenewable",
  },
  "the renewal of a token on its last use": { ...both(400, "token not found"), meaning: "unknownAccessor" },
  "a lookup of what wraps nothing": both(400, "wrapping token is not valid or does not exist"),
  "the lookup of an unknown accessor": {
    ...both(400, "1 error occurred:\n\t* invalid accessor\n\n"),
    meaning: "unknownAccessor",
  },
  "a read below no mount": {
    ...both(404, 'no handler for route "no/such/mount". route entry not found.'),
    meaning: "notMounted",
  },
  "a read where nothing is": both(404),
  "a creation by an unknown token role": { ...both(400, "unknown role none"), meaning: "unknownRole" },
  "a creation with an id that is taken": both(400, "cannot create a token with a duplicate ID"),
  "a read of the CA of a mount without one": {
    ...both(500, "no default issuer currently configured"),
    meaning: "noIssuer",
  },
  "a CSR for a mount without a CA": {
    ...both(
      500,
      "1 error occurred:\n\t* could not fetch the CA certificate (was one set?): no default issuer currently configured\n\n",
    ),
    meaning: "noIssuer",
  },
  "a read of an unknown issuer": {
    ...both(500, "unable to find PKI issuer for reference: none"),
    meaning: "unknownIssuer",
  },
  "a CSR for an unknown issuer": {
    ...both(
      500,
      "1 error occurred:\n\t* could not fetch the CA certificate (was one set?): unable to find PKI issuer for reference: none\n\n",
    ),
    meaning: "unknownIssuer",
  },
  "a new key with the name of another one": {
    ...both(400, "key name already in use"),
    meaning: "keyNameTaken",
  },
  "a CSR for an issuer that may not sign": {
    ...both(
      500,
      "1 error occurred:\n\t* error fetching CA certificate: error while attempting to use issuer ID: requested usage issuing-certificates for issuer [id:ID / name:idle] but only had usage read-only\n\n",
    ),
    meaning: "mayNotIssue",
  },
  "a CSR for a role that outlives the CA": {
    ...both(
      400,
      "cannot satisfy request, as TTL would result in notAfter of TIME that is beyond the expiration of the CA certificate at TIME",
    ),
    meaning: "outlivesCa",
  },
  "a CSR with another kind of key": { ...both(400, "role requires keys of type rsa"), meaning: "otherKey" },
  "a CSR for an unknown PKI role": { ...both(400, "unknown role: none"), meaning: "unknownRole" },
  "a key from a role of any kind": {
    vault: {
      status: 400,
      errors: ['role key type "any" not allowed for issuing certificates, only signing'],
    },
    openbao: {
      status: 400,
      errors: [
        'role key type "any" not allowed for issuing certificates without providing key_type and/or key_bits request parameters',
      ],
    },
    meaning: "signsOnly",
  },
  "a read from a sealed server": { ...both(503, "Vault is sealed"), meaning: "sealed" },
} as const satisfies Record<string, Recorded>;

export type RecordedName = keyof typeof recorded;

/** A refusal, as the server sends it. */
export function answer({ status, errors }: Said): Response {
  return Response.json({ errors }, { status });
}
