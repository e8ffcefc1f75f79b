import type { Action } from "../action.ts";
import { formatDuration } from "../duration.ts";
import type { Finding } from "../finding.ts";
import { listNames } from "../vault/data.ts";
import { type IssuerInfo, listIssuers, readIssuer, readIssuersConfig } from "../vault/issuers.ts";
import { readPkiRole } from "../vault/pki.ts";
import { type Fields, isSeconds } from "../vault/shape.ts";
import type { MountInfo } from "../vault/sys.ts";
import type { Cluster } from "./cluster.ts";
import { isMountedAsWanted, mountType } from "./mount-resources.ts";
import type { WantedMount } from "./mounts.ts";
import { readServerCertificate } from "./server-certificate.ts";
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
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly leftSeconds: number;
  /** The longest validity that it can sign now for its roles; undefined if none of them sets a validity. */
  readonly longestSeconds: number | undefined;
  readonly roles: readonly RoleValidity[];
  /** When it can't sign the full validity of some role any more, or has less than a tenth of its own left. */
  readonly dueAt: Date | undefined;
}

export interface MountStatus extends Finding {
  readonly path: string;
  readonly issuers: readonly IssuerStatus[];
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
    state: "wrong",
    reasons: [reason],
    fix: { do: "other", text },
  });
  if (found === undefined) return bad("does not exist", setupCommand);
  if (!isMountedAsWanted(mounts, mount)) {
    return bad(`is of type ${mountType(found)}, but has to be ${mount.type}`, `move ${path} elsewhere`);
  }
  if (mount.type !== "pki") return { path, issuers: [], state: "ok", reasons: [] };
  const listed = await listIssuers(view.client, path);
  if (listed.length === 0) return bad("has no issuer", setupCommand);
  const [{ defaultId }, roles, infos] = await Promise.all([
    readIssuersConfig(view.client, path),
    readRoles(view, path),
    Promise.all(listed.map(({ id }) => readIssuer(view.client, path, id))),
  ]);
  const issuers = infos.flatMap((info) =>
    info === undefined ? [] : [issuerStatus(path, info, { defaultId, roles, found, now })],
  );
  return defaultId === undefined
    ? {
        ...bad(
          "has no default issuer, so roles that name no issuer can't sign",
          `choose one of the issuers of ${path}`,
        ),
        issuers,
      }
    : { path, issuers, state: "ok", reasons: [] };
}

/** All roles of the mount, even those that set-up did not make. */
async function readRoles({ client }: ServerView, mount: string): Promise<readonly Role[]> {
  const names = await listNames(client, `${mount}/roles`);
  const roles = await Promise.all(
    names.map(async (name) => ({ name, fields: await readPkiRole(client, `${mount}/roles/${name}`) })),
  );
  return roles.flatMap(({ name, fields }) => (fields === undefined ? [] : [{ name, fields }]));
}

interface Role {
  readonly name: string;
  readonly fields: Fields;
}

interface MountFacts {
  readonly defaultId: string | undefined;
  readonly roles: readonly Role[];
  readonly found: MountInfo;
  readonly now: Date;
}

function issuerStatus(
  mount: string,
  info: IssuerInfo,
  { defaultId, roles, found, now }: MountFacts,
): IssuerStatus {
  const { id, name } = info;
  const { x509, notBefore, notAfter } = readServerCertificate(
    info.certificate,
    `the issuer ${id} of ${mount}`,
  );
  const leftSeconds = (notAfter.getTime() - now.getTime()) / 1000;
  const isDefault = id === defaultId;
  const ownRoles = roles
    .filter(({ fields: { issuer_ref: ref } }) => ref === id || (ref === "default" ? isDefault : ref === name))
    .map((role) => ({ role: role.name, wantsSeconds: validityOf(role.fields, found) }));
  const wanted = Math.max(0, ...ownRoles.map(({ wantsSeconds }) => wantsSeconds));
  const tenth = (notAfter.getTime() - notBefore.getTime()) / 10_000;
  // An issuer that no role uses may expire: it was replaced by another.
  const isUsed = isDefault || ownRoles.length > 0;
  const faults = isUsed ? findFaults(info, { leftSeconds, notBefore, now }) : [];
  const dues = isUsed ? findDues(info, { leftSeconds, tenth, ownRoles }) : [];
  const rotate: Action = { do: "other", text: `give ${mount} a new issuer, and make it the default` };
  return {
    mount,
    id,
    name,
    subject: x509.subject.replaceAll("\n", ", "),
    isDefault,
    notBefore,
    notAfter,
    leftSeconds,
    longestSeconds: wanted === 0 ? undefined : Math.max(0, Math.min(leftSeconds, wanted)),
    roles: ownRoles,
    dueAt: isUsed ? new Date(notAfter.getTime() - Math.max(tenth, wanted) * 1000) : undefined,
    ...(faults.length > 0
      ? { state: "wrong", reasons: faults, fix: rotate }
      : dues.length > 0
        ? { state: "due", reasons: dues, fix: rotate }
        : { state: "ok", reasons: [] }),
  };
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
  { keyId, mayIssue }: IssuerInfo,
  { leftSeconds, notBefore, now }: { leftSeconds: number; notBefore: Date; now: Date },
): readonly string[] {
  return [
    ...(leftSeconds <= 0 ? ["has expired"] : []),
    ...(notBefore > now ? ["is not valid yet"] : []),
    ...(keyId !== "" ? [] : ["its key is not in the server"]),
    ...(mayIssue ? [] : ["it may not sign certificates"]),
  ];
}

function findDues(
  { leafNotAfterBehavior: behavior }: IssuerInfo,
  { leftSeconds, tenth, ownRoles }: { leftSeconds: number; tenth: number; ownRoles: readonly RoleValidity[] },
): readonly string[] {
  const short = ownRoles.filter(({ wantsSeconds }) => wantsSeconds > leftSeconds);
  const byValidity = [...Map.groupBy(short, ({ wantsSeconds }) => wantsSeconds)].map(
    ([seconds, roles]) => `${roles.map(({ role }) => role).join(", ")} (${formatDuration(seconds)})`,
  );
  return [
    ...(short.length === 0
      ? []
      : [
          `has ${formatDuration(leftSeconds)} left; ${effect(behavior)} certificates of ${byValidity.join(", ")}`,
        ]),
    ...(leftSeconds < tenth ? ["less than a tenth of its lifetime is left"] : []),
  ];
}

/** What the issuer does about a certificate that would expire after it. */
function effect(behavior: string): string {
  if (behavior === "truncate") return "shortens";
  return behavior === "permit" ? "expires before" : "refuses";
}
