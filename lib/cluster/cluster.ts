import { ExitCode, Failure } from "../failure.ts";

/** What a host is in a cluster; its token role in the server is `<cluster>-<host role>`. */
export const hostRoles = ["etcd", "master", "worker", "all"] as const;
export type HostRole = (typeof hostRoles)[number];

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
}

/** The period of tokens: how long one lives after each renewal. */
export const tokenPeriodSeconds = 5 * 365 * day;

/** A server counts nanoseconds in 64 bits. */
const longestSeconds = Math.floor(2 ** 63 / 1e9);

const validityDefaults = {
  caValiditySeconds: 20 * 365 * day,
  adminValiditySeconds: 365 * day,
  componentValiditySeconds: 30 * day,
} as const;

/**
 * A cluster with what is not given set to its default.
 *
 * @throws Failure (usage) for an id, a validity or an init token that can't be right
 */
export function defineCluster(id: string, chosen: Partial<Omit<Cluster, "id">> = {}): Cluster {
  if (!/^[A-Za-z][a-z0-9-]*$/.test(id) || id.length > 63) {
    throw new Failure(ExitCode.usage, `${JSON.stringify(id)} is not a cluster id`, {
      hint: "start with a letter, go on with small letters, digits and -, 63 at most",
    });
  }
  const cluster = { id, ...validityDefaults, initTokens: {}, ...chosen };
  for (const seconds of [
    cluster.caValiditySeconds,
    cluster.adminValiditySeconds,
    cluster.componentValiditySeconds,
  ]) {
    if (!Number.isInteger(seconds) || seconds < 1) {
      throw new Failure(ExitCode.usage, "a validity has to be a whole number of seconds, one or more");
    }
    if (seconds > longestSeconds) {
      throw new Failure(ExitCode.usage, `a validity of ${seconds} s is longer than a server can keep`, {
        hint: "give it 292y at most",
      });
    }
  }
  for (const role of hostRoles) checkInitToken(role, cluster.initTokens);
  return cluster;
}

function checkInitToken(role: HostRole, ids: Cluster["initTokens"]): void {
  const id = ids[role];
  if (id === undefined) return;
  // The server keeps these prefixes for ids that it makes itself.
  if (!/^[\x21-\x7e]{1,128}$/.test(id) || /^(hv[sbr]\.|[sbr]\.)/.test(id)) {
    throw new Failure(ExitCode.usage, `--init-token-${role} can't be the id of a token`, {
      hint: "use up to 128 printable characters without spaces, not starting with hvs., hvb., hvr., s., b. or r.",
    });
  }
  const other = hostRoles.find((it) => it !== role && ids[it] === id);
  if (other !== undefined) {
    throw new Failure(ExitCode.usage, `--init-token-${role} and --init-token-${other} are the same id`, {
      hint: "a token is for one host role: give each an id of its own",
    });
  }
}
