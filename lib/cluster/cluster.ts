import { Failure } from "../failure.ts";
import type { Fields } from "../vault/shape.ts";
import type { PkiMountName } from "./mount-names.ts";

/** What a host is for. Its token role in the server is `<cluster>-<host role>`. */
export const hostRoles = ["etcd", "master", "worker", "all"] as const;
export type HostRole = (typeof hostRoles)[number];

/**
 * The host roles with a policy of their own. A master also has the workers' policy; a host of role `all` has every one.
 */
export const policyRoles = ["etcd", "master", "worker"] as const;
export type PolicyRole = (typeof policyRoles)[number];

const day = 86_400;

/** A cluster with everything that an admin can choose about it. */
export interface Cluster {
  readonly id: string;
  /** Validity of the CAs, and the max lease TTL of their mounts. @default 20 years */
  readonly caValiditySeconds: number;
  /** Validity of certificates of the role `admin`. @default 1 year */
  readonly adminValiditySeconds: number;
  /** Validity of certificates of every other role. @default 30 days */
  readonly componentValiditySeconds: number;
  /** Ids that init tokens must have. A new init token without one gets a random id. */
  readonly initTokens: Readonly<Partial<Record<HostRole, string>>>;
  /** Host roles whose init tokens are to be revoked and replaced. */
  readonly rotatedInitTokens: readonly HostRole[];
  /** Key of new CAs; existing CAs are kept. @default the server's choice */
  readonly caKey: KeyRule | undefined;
  /** Keys that the roles sign. @default any */
  readonly key: KeyRule;
  /** More host names for kubelets; * matches any part of a name. @default none */
  readonly kubeletDomains: readonly string[];
  /** Whether kubelets' certificates may hold IP addresses. @default false */
  readonly kubeletIpSans: boolean;
  /** PKI roles besides the built-in ones. @default none */
  readonly pkiRoles: readonly FurtherPkiRole[];
  /** What hosts may do besides the built-in rules. @default none */
  readonly policyRules: readonly PolicyRule[];
  /** Only what was chosen, without the defaults. */
  readonly chosen: Choices;
}

export type Choices = Partial<Omit<Cluster, "id" | "chosen">>;

/** Key types that a CA can have, with the server's names. */
export const caKeyTypes = ["rsa", "ec", "ed25519"] as const;
/** Key types that a role can sign, with the server's names. `any` signs each of them. */
export const roleKeyTypes = ["any", ...caKeyTypes] as const;

/** Key of a CA, or keys that a role signs. */
export interface KeyRule {
  readonly type: (typeof roleKeyTypes)[number];
  /** Size of a CA's key, or the smallest one that a role signs. 0 if the type has no sizes. */
  readonly bits: number;
}

export interface FurtherPkiRole {
  readonly mount: PkiMountName;
  readonly name: string;
  /** Host roles whose hosts may use it. */
  readonly hosts: readonly PolicyRole[];
  /** Fields with the server's names. They override those of `furtherRole`. */
  readonly fields: Fields;
  /** @default the cluster's `componentValiditySeconds` */
  readonly validitySeconds: number | undefined;
  /** @default the cluster's `key` */
  readonly key: KeyRule | undefined;
}

export interface PolicyRule {
  readonly hosts: readonly PolicyRole[];
  /** Relative to the cluster's path. A * at its end matches any rest. */
  readonly path: string;
  readonly capabilities: readonly Capability[];
}

/** What a rule may grant. `sudo` is left out on purpose. */
export const capabilities = ["create", "read", "update", "patch", "delete", "list"] as const;
export type Capability = (typeof capabilities)[number];

/** The period of tokens: their TTL after each renewal. */
export const tokenPeriodSeconds = 5 * 365 * day;

/** The server counts nanoseconds in 64 bits. */
const longestSeconds = Math.floor(2 ** 63 / 1e9);

const defaults = {
  caValiditySeconds: 20 * 365 * day,
  adminValiditySeconds: 365 * day,
  componentValiditySeconds: 30 * day,
  initTokens: {},
  rotatedInitTokens: [],
  caKey: undefined,
  key: { type: "any", bits: 0 },
  kubeletDomains: [],
  kubeletIpSans: false,
  pkiRoles: [],
  policyRules: [],
} as const;

/**
 * A cluster with defaults for everything that was not chosen.
 *
 * @throws Failure (usage) for an invalid id, validity or init token
 */
export function defineCluster(id: string, chosen: Choices = {}): Cluster {
  checkClusterId(id);
  const cluster: Cluster = { id, ...defaults, ...chosen, chosen };
  checkValidity(cluster.caValiditySeconds);
  checkValidity(cluster.adminValiditySeconds);
  checkValidity(cluster.componentValiditySeconds);
  for (const role of hostRoles) checkInitToken(role, cluster.initTokens);
  return cluster;
}

/** @throws Failure (usage) */
export function checkClusterId(id: string): void {
  if (/^[A-Za-z][a-z0-9-]*$/.test(id) && id.length <= 63) return;
  throw new Failure("usage", `${JSON.stringify(id)} is not a cluster id`, {
    hint: "use a letter, then lower-case letters, digits and -, at most 63 characters",
  });
}

/** @throws Failure (usage) */
export function checkValidity(seconds: number): void {
  if (!Number.isInteger(seconds) || seconds < 1) {
    throw new Failure("usage", "a validity has to be a whole number of seconds, one or more");
  }
  if (seconds > longestSeconds) {
    throw new Failure("usage", `a validity of ${seconds} s is longer than a server can keep`, {
      hint: "use at most 292y",
    });
  }
}

function checkInitToken(role: HostRole, ids: Cluster["initTokens"]): void {
  const id = ids[role];
  if (id === undefined) return;
  // The server reserves these prefixes for ids that it makes itself.
  if (!/^[\x21-\x7e]{1,128}$/.test(id) || /^(hv[sbr]\.|[sbr]\.)/.test(id)) {
    throw new Failure("usage", `--init-token-${role} can't be the id of a token`, {
      hint: "use up to 128 printable characters without spaces, not starting with hvs., hvb., hvr., s., b. or r.",
    });
  }
  const other = hostRoles.find((it) => it !== role && ids[it] === id);
  if (other !== undefined) {
    throw new Failure("usage", `--init-token-${role} and --init-token-${other} are the same id`, {
      hint: "an init token is for one host role: give each role a different id",
    });
  }
}
