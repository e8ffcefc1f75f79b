import { Failure } from "../failure.ts";
import type { Fields } from "../vault/shape.ts";
import type { PkiMountName } from "./mount-names.ts";

/** What a host is in a cluster; its token role in the server is `<cluster>-<host role>`. */
export const hostRoles = ["etcd", "master", "worker", "all"] as const;
export type HostRole = (typeof hostRoles)[number];

/** The host roles that have a policy of their own; a host of `all` holds every policy, one of `master` the workers', too. */
export const policyRoles = ["etcd", "master", "worker"] as const;
export type PolicyRole = (typeof policyRoles)[number];

const day = 86_400;

/** A cluster, and all that an admin can choose about it. */
export interface Cluster {
  readonly id: string;
  /** Of the CAs, and the longest lease of their mounts. @default 20 years */
  readonly caValiditySeconds: number;
  /** Of the role `admin`. @default 1 year */
  readonly adminValiditySeconds: number;
  /** Of every other role. @default 30 days */
  readonly componentValiditySeconds: number;
  /** Ids that the init tokens must have; one without is given a random id when it is made. */
  readonly initTokens: Readonly<Partial<Record<HostRole, string>>>;
  /** Host roles whose init tokens are to end, and to be replaced by others. */
  readonly rotatedInitTokens: readonly HostRole[];
  /** Of CAs that are made; those that stand are kept. @default the server's choice */
  readonly caKey: KeyRule | undefined;
  /** Of what the roles sign. @default any */
  readonly key: KeyRule;
  /** More host names for kubelets, with * for any part of one. @default none */
  readonly kubeletDomains: readonly string[];
  /** Whether kubelets' certificates may hold IP addresses. @default false */
  readonly kubeletIpSans: boolean;
  /** Roles beside those that every cluster has. @default none */
  readonly pkiRoles: readonly FurtherPkiRole[];
  /** What hosts may do beside what they may in every cluster. @default none */
  readonly policyRules: readonly PolicyRule[];
  /** What was chosen of all this, defaults aside. */
  readonly chosen: Choices;
}

export type Choices = Partial<Omit<Cluster, "id" | "chosen">>;

/** The server's names of the kinds of key that a CA can have. */
export const keyTypes = ["rsa", "ec", "ed25519"] as const;
/** And of those that a role can be for: `any` signs each. */
export const keyRuleTypes = ["any", ...keyTypes] as const;

/** A kind of key. */
export interface KeyRule {
  readonly type: (typeof keyRuleTypes)[number];
  /** Of a CA's key; the fewest of one that a role signs. 0 where the type has no sizes. */
  readonly bits: number;
}

export interface FurtherPkiRole {
  readonly mount: PkiMountName;
  readonly name: string;
  /** Whose hosts may have it sign. */
  readonly hosts: readonly PolicyRole[];
  /** Fields of a role as the server has them, over those of `furtherRole`. */
  readonly fields: Fields;
  /** @default the cluster's of components */
  readonly validitySeconds: number | undefined;
  /** @default the cluster's */
  readonly key: KeyRule | undefined;
}

export interface PolicyRule {
  readonly hosts: readonly PolicyRole[];
  /** Below the cluster's; a * at its end stands for any rest. */
  readonly path: string;
  readonly capabilities: readonly Capability[];
}

/** What a rule may grant: never `sudo`. */
export const capabilities = ["create", "read", "update", "patch", "delete", "list"] as const;
export type Capability = (typeof capabilities)[number];

/** The period of tokens: how long one lives after each renewal. */
export const tokenPeriodSeconds = 5 * 365 * day;

/** A server counts nanoseconds in 64 bits. */
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
 * A cluster with what is not given set to its default.
 *
 * @throws Failure (usage) for an id, a validity or an init token that can't be right
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
    hint: "start with a letter, go on with small letters, digits and -, 63 at most",
  });
}

/** @throws Failure (usage) */
export function checkValidity(seconds: number): void {
  if (!Number.isInteger(seconds) || seconds < 1) {
    throw new Failure("usage", "a validity has to be a whole number of seconds, one or more");
  }
  if (seconds > longestSeconds) {
    throw new Failure("usage", `a validity of ${seconds} s is longer than a server can keep`, {
      hint: "give it 292y at most",
    });
  }
}

function checkInitToken(role: HostRole, ids: Cluster["initTokens"]): void {
  const id = ids[role];
  if (id === undefined) return;
  // The server keeps these prefixes for ids that it makes itself.
  if (!/^[\x21-\x7e]{1,128}$/.test(id) || /^(hv[sbr]\.|[sbr]\.)/.test(id)) {
    throw new Failure("usage", `--init-token-${role} can't be the id of a token`, {
      hint: "use up to 128 printable characters without spaces, not starting with hvs., hvb., hvr., s., b. or r.",
    });
  }
  const other = hostRoles.find((it) => it !== role && ids[it] === id);
  if (other !== undefined) {
    throw new Failure("usage", `--init-token-${role} and --init-token-${other} are the same id`, {
      hint: "a token is for one host role: give each an id of its own",
    });
  }
}
