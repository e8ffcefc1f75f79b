import { formatDay, formatDuration } from "../duration.ts";
import type { Finding } from "../finding.ts";
import { type Fields, isSeconds } from "../vault/shape.ts";
import type { MountInfo } from "../vault/sys.ts";
import { begunCa } from "./ca-rotation.ts";
import type { Cluster } from "./cluster.ts";
import { type Issuer, isCrossIn, type MountCas, readMountCas } from "./mount-cas.ts";
import { isMountedAsWanted, mountType } from "./mount-resources.ts";
import { type MountRole, namesIssuer, readMountRoles } from "./mount-roles.ts";
import { mountName, type WantedMount } from "./mounts.ts";
import { whyNotRotatable } from "./rotatable.ts";
import type { ServerView } from "./server-view.ts";

/** A role that an issuer signs for, and the validity of its certificates. */
interface RoleValidity {
  readonly role: string;
  /** Zero for a role that leaves it to each request. */
  readonly wantsSeconds: number;
}

export interface IssuerStatus extends Finding {
  readonly mount: string;
  readonly id: string;
  /** Empty if it was given none. */
  readonly name: string;
  readonly subject: string;
  readonly isDefault: boolean;
  /** Whether it is another CA's certificate for the key of a CA. */
  readonly isCross: boolean;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly leftSeconds: number;
  /** The longest validity that it can sign now for its roles; undefined if none of them sets a validity. */
  readonly longestSeconds: number | undefined;
  readonly roles: readonly RoleValidity[];
  /**
   * The margin before it can't sign the full validity of some role any more, or when it has less than a tenth of its own
   * left.
   */
  readonly dueAt: Date | undefined;
}

export interface MountStatus extends Finding {
  readonly path: string;
  readonly issuers: readonly IssuerStatus[];
  /** Undefined for a mount without issuers. */
  readonly cas: MountCas | undefined;
  /** Its PKI roles; none for a mount without issuers. */
  readonly roles: readonly MountRole[];
}

/** @param now by the server's clock */
export async function readMountStatus(
  view: ServerView,
  cluster: Cluster,
  mount: WantedMount,
  now: Date,
): Promise<MountStatus> {
  const setupCommand = `setup-mounts ${cluster.id}`;
  const { path } = mount;
  const mounts = await view.mounts();
  const found = mounts.get(path);
  const bad = (reason: string, text: string): MountStatus => ({
    path,
    issuers: [],
    cas: undefined,
    roles: [],
    state: "wrong",
    reasons: [reason],
    fix: { do: "other", text },
  });
  if (found === undefined) return bad("does not exist", setupCommand);
  if (!isMountedAsWanted(mounts, mount)) {
    return bad(`is of type ${mountType(found)}, but has to be ${mount.type}`, `move ${path} elsewhere`);
  }
  if (mount.type !== "pki") return { path, issuers: [], cas: undefined, roles: [], state: "ok", reasons: [] };
  const cas = await readMountCas(view.client, path);
  if (cas.issuers.length === 0) return bad("has no issuer", setupCommand);
  const roles = await readMountRoles(view.client, path);
  const facts = { cluster, path, cas, roles, found, now };
  const issuers = cas.issuers.map((issuer) => issuerStatus(issuer, facts));
  if (cas.default === undefined) {
    const reason = "has no default issuer, so roles that name no issuer can't sign";
    return { ...bad(reason, `choose one of the issuers of ${path}`), issuers, cas, roles };
  }
  return { path, issuers, cas, roles, ...rotationFinding(cluster, path, cas) };
}

/** Whether somebody has to go on with a rotation to a new key. */
function rotationFinding(cluster: Cluster, path: string, cas: MountCas): Finding {
  const begun = begunCa(cas);
  if (begun === undefined) return { state: "ok", reasons: [] };
  return {
    state: "due",
    reasons: [`${begun.name} does not sign: a rotation was stopped or undone`],
    fix: { do: "other", text: `${rotateCommand(cluster, path)} --new-key` },
  };
}

/** `rotate-ca demo k8s` */
export function rotateCommand({ id }: Cluster, path: string): string {
  return `rotate-ca ${id} ${mountName(path)}`;
}

interface MountFacts {
  readonly cluster: Cluster;
  readonly path: string;
  readonly cas: MountCas;
  readonly roles: readonly MountRole[];
  readonly found: MountInfo;
  readonly now: Date;
}

function issuerStatus(issuer: Issuer, facts: MountFacts): IssuerStatus {
  const { id, name, isDefault, x509, notBefore, notAfter } = issuer;
  const { path, roles, found, now } = facts;
  const leftSeconds = (notAfter.getTime() - now.getTime()) / 1000;
  const ownRoles = roles
    .filter((role) => (role.fields.issuer_ref === "default" ? isDefault : namesIssuer(role, issuer)))
    .map((role) => ({ role: role.name, wantsSeconds: validityOf(role.fields, found) }));
  const wanted = Math.max(0, ...ownRoles.map(({ wantsSeconds }) => wantsSeconds));
  const lifetimeSeconds = (notAfter.getTime() - notBefore.getTime()) / 1000;
  const dueSeconds = Math.max(lifetimeSeconds / 10, neededSeconds(wanted, lifetimeSeconds));
  // An issuer that no role uses may expire: it was replaced by another.
  const isUsed = isDefault || ownRoles.length > 0;
  const faults = isUsed ? findFaults(issuer, leftSeconds, now) : [];
  const dues = isUsed ? findDues(issuer, { leftSeconds, lifetimeSeconds, ownRoles }) : [];
  const fix = () => ({ do: "other", text: fixOf(issuer, ownRoles, wanted, facts) }) as const;
  return {
    mount: path,
    id,
    name,
    subject: x509.subject.replaceAll("\n", ", "),
    isDefault,
    isCross: isCrossIn(facts.cas, issuer),
    notBefore,
    notAfter,
    leftSeconds,
    longestSeconds: wanted === 0 ? undefined : Math.max(0, Math.min(leftSeconds, wanted)),
    roles: ownRoles,
    dueAt: isUsed ? new Date(notAfter.getTime() - dueSeconds * 1000) : undefined,
    ...(faults.length > 0
      ? { state: "wrong", reasons: faults, fix: fix() }
      : dues.length > 0
        ? { state: "due", reasons: dues, fix: fix() }
        : { state: "ok", reasons: [] }),
  };
}

const longestMarginSeconds = 30 * 86_400;

/**
 * How much a CA needs to have left for a role, in seconds: the validity of the role's certificates, and a margin in which
 * an admin can act before hosts are refused.
 *
 * @param wantsSeconds zero for a role without a validity, which needs nothing
 */
function neededSeconds(wantsSeconds: number, lifetimeSeconds: number): number {
  return wantsSeconds === 0 ? 0 : wantsSeconds + Math.min(longestMarginSeconds, lifetimeSeconds / 10);
}

/** The command that gives an issuer's roles a better one, or what an admin has to do instead. */
function fixOf(
  { isDefault, mayIssue }: Issuer,
  roles: readonly RoleValidity[],
  wanted: number,
  { cluster, path, cas, found, now }: MountFacts,
): string {
  if (!isDefault) return `give ${roles.map(({ role }) => role).join(", ")} another issuer_ref`;
  const noCertificate = whyNotRotatable(cas, path, now, "certificate");
  const noKey = whyNotRotatable(cas, path, now, "key");
  if (noCertificate !== undefined) {
    return noKey === undefined ? `${rotateCommand(cluster, path)} --new-key` : noCertificate.hint;
  }
  if (!mayIssue && noKey !== undefined) return noKey.hint;
  // Set-up gives the mount the validity of its CA, and so does a rotation.
  const validity = found.maxLeaseTtlSeconds || cluster.caValiditySeconds;
  if (neededSeconds(wanted, validity) >= validity) {
    return `give the roles of ${path} a shorter validity, or its CA a longer one (--max-validity-ca)`;
  }
  return rotateCommand(cluster, path);
}

/**
 * The validity of a role's certificates if the request does not ask for one. Hosts never do.
 *
 * @returns seconds; zero if the role sets none. The server would then use the mount's TTL, but that is the whole
 *   validity of the CA, so requests to such a role have to ask for one themselves.
 */
function validityOf({ ttl, max_ttl: maxTtl }: Fields, mount: MountInfo): number {
  const seconds = (value: unknown) => (isSeconds(value) ? value : 0);
  if (seconds(ttl) + seconds(maxTtl) === 0) return 0;
  const asked = seconds(ttl) || mount.defaultLeaseTtlSeconds;
  return Math.min(asked, seconds(maxTtl) || mount.maxLeaseTtlSeconds || asked);
}

function findFaults(
  { keyId, mayIssue, notBefore }: Issuer,
  leftSeconds: number,
  now: Date,
): readonly string[] {
  return [
    ...(leftSeconds <= 0 ? ["has expired"] : []),
    ...(notBefore > now ? ["is not valid yet"] : []),
    ...(keyId !== "" ? [] : ["its key is not in the server"]),
    ...(mayIssue ? [] : ["it may not sign certificates"]),
  ];
}

interface Left {
  readonly leftSeconds: number;
  readonly lifetimeSeconds: number;
  readonly ownRoles: readonly RoleValidity[];
}

function findDues(
  { leafNotAfterBehavior, notAfter }: Issuer,
  { leftSeconds, lifetimeSeconds, ownRoles }: Left,
): readonly string[] {
  const short = ownRoles.filter(({ wantsSeconds }) => wantsSeconds > leftSeconds);
  const soon = ownRoles.filter(
    ({ wantsSeconds }) =>
      wantsSeconds <= leftSeconds && neededSeconds(wantsSeconds, lifetimeSeconds) > leftSeconds,
  );
  const longest = Math.max(0, ...soon.map(({ wantsSeconds }) => wantsSeconds));
  const day = formatDay(new Date(notAfter.getTime() - longest * 1000));
  const does = effect(leafNotAfterBehavior);
  const effects = [
    ...(short.length === 0 ? [] : [`${does} ${certificatesOf(short)}`]),
    ...(soon.length === 0 ? [] : [`from ${day} on it ${does} ${certificatesOf(soon)}`]),
  ];
  return [
    ...(effects.length === 0 ? [] : [`has ${formatDuration(leftSeconds)} left; ${effects.join("; ")}`]),
    ...(leftSeconds < lifetimeSeconds / 10 ? ["less than a tenth of its lifetime is left"] : []),
  ];
}

/** `certificates of client, server (30d), long (4d 4h)` */
function certificatesOf(roles: readonly RoleValidity[]): string {
  const byValidity = [...Map.groupBy(roles, ({ wantsSeconds }) => wantsSeconds)].map(
    ([seconds, its]) => `${its.map(({ role }) => role).join(", ")} (${formatDuration(seconds)})`,
  );
  return `certificates of ${byValidity.join(", ")}`;
}

/** What the issuer does about a certificate that would expire after it. */
function effect(behavior: string): string {
  if (behavior === "truncate") return "shortens";
  return behavior === "permit" ? "expires before" : "refuses";
}
