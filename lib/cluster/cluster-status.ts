import type { Action } from "../action.ts";
import { type Finding, type State, worstState } from "../finding.ts";
import type { VaultClient } from "../vault/client.ts";
import { readClocks } from "../vault/clocks.ts";
import type { OnProgress } from "../vault/each.ts";
import { readSealed } from "../vault/sys.ts";
import { tokenDueSeconds } from "../vault/token.ts";
import { many } from "../words.ts";
import type { Cluster, HostRole } from "./cluster.ts";
import { flagsOf } from "./cluster-file.ts";
import { findClusterTokens, type HostTokenEntry } from "./cluster-tokens.ts";
import { readInitToken } from "./init-token-resources.ts";
import { type MountStatus, readMountStatus } from "./issuer-status.ts";
import { isMountedAsWanted } from "./mount-resources.ts";
import { pkiMounts, secretsMount } from "./mounts.ts";
import { type Change, isRefusal } from "./plan.ts";
import { type MountRotation, readMountRotation } from "./rotation-status.ts";
import { createServerView, type ServerView } from "./server-view.ts";
import { type FileChoice, planMounts, planRoles, type SetupPlan } from "./setup-plan.ts";
import { initTokens, tokenRoles, type WantedInitToken } from "./token-roles.ts";

/** The changes that a half of set-up would make. */
interface SetupStatus extends Finding {
  readonly half: "setup-mounts" | "write-roles";
  readonly changes: readonly Change[];
  /** Where the cluster file came from; undefined if none is used. */
  readonly file: SetupPlan["file"];
}

const withoutMounts = {
  half: "write-roles",
  changes: [],
  file: undefined,
  state: "wrong",
  reasons: ["needs the mounts first"],
} as const;

interface InitTokenStatus extends Finding {
  readonly role: HostRole;
  /** Seconds left; zero for one that never expires, undefined if there is no token. */
  readonly ttlSeconds: number | undefined;
  readonly lifetimeSeconds: number | undefined;
  /** Seconds until it is due; undefined if it never is, or if there is no token. */
  readonly dueSeconds: number | undefined;
}

/** The host tokens of one token role. */
interface HostTokensStatus {
  readonly role: string;
  readonly count: number;
  /** Seconds until the first one expires; undefined if none does. */
  readonly soonestSeconds: number | undefined;
}

/** Host tokens that were not renewed for a while: the host is gone or broken. */
interface SilentHosts {
  readonly count: number;
  /** How many of them do not name their host: an earlier version made them. */
  readonly unnamed: number;
  /** Those that name their host and were renewed last, the latest first. */
  readonly latest: readonly SilentHost[];
}

/** A host token with a known host and a known time. */
interface SilentHost {
  readonly host: string;
  readonly role: string;
  readonly accessor: string;
  readonly renewedAt: Date;
}

/** Each host renews its token once a day. */
const silentMs = 3 * 86_400_000;
const mostNamed = 20;

/** A mount's status, with its CAs and what is left to do after a rotation. */
type ClusterMountStatus = Omit<MountStatus, "cas" | "roles"> & MountRotation;

export interface ClusterStatus {
  readonly id: string;
  readonly state: State;
  /** By the server's clock. */
  readonly now: Date;
  readonly mounts: readonly ClusterMountStatus[];
  readonly setup: readonly SetupStatus[];
  readonly initTokens: readonly InitTokenStatus[];
  readonly hostTokens: readonly HostTokensStatus[];
  readonly silentHosts: SilentHosts;
}

const halves = { "setup-mounts": planMounts, "write-roles": planRoles } as const;

/**
 * Compares a cluster in the server with what set-up would make. Writes nothing.
 *
 * @param choice the cluster file to compare with
 * @throws VaultError if the server does not answer, or the token may not read something
 */
export async function readClusterStatus(
  client: VaultClient,
  cluster: Cluster,
  choice: FileChoice,
  onProgress: OnProgress,
): Promise<ClusterStatus> {
  // Also tells the server's time.
  await readSealed(client);
  const { server: now } = readClocks(client);
  const view = createServerView(client);
  const [found, tokens] = await Promise.all([
    Promise.all(
      [...pkiMounts(cluster), secretsMount(cluster)].map((it) => readMountStatus(view, cluster, it, now)),
    ),
    readInitTokens(view, cluster, runOf("write-roles", cluster, choice)),
  ]);
  const mounts: ClusterMountStatus[] = [];
  // One after the other, since counting certificates already uses all requests that may be under way.
  for (const { cas, roles, ...mount } of found) {
    const rotation =
      cas === undefined
        ? noCas
        : await readMountRotation(client, cluster, mount.path, cas, roles, now, onProgress);
    mounts.push({ ...mount, ...rotation });
  }
  const setup = [
    await readSetupStatus(client, cluster, choice, "setup-mounts"),
    (await hasAllMounts(view, cluster))
      ? await readSetupStatus(client, cluster, choice, "write-roles")
      : { ...withoutMounts, fix: runOf("write-roles", cluster, choice) },
  ];
  const { hosts } = await findClusterTokens(client, cluster, onProgress);
  const all = [...mounts, ...mounts.flatMap(({ issuers }) => issuers), ...setup, ...tokens];
  return {
    id: cluster.id,
    state: worstState(all.map(({ state }) => state)),
    now,
    mounts,
    setup,
    initTokens: tokens,
    hostTokens: tokenRoles(cluster).map(({ name }) => hostTokensStatus(name, hosts)),
    silentHosts: silentHosts(hosts, now),
  };
}

const noCas: MountRotation = { cas: [], rotation: undefined };

async function hasAllMounts(view: ServerView, cluster: Cluster): Promise<boolean> {
  const found = await view.mounts();
  return [...pkiMounts(cluster), secretsMount(cluster)].every((it) => isMountedAsWanted(found, it));
}

async function readSetupStatus(
  client: VaultClient,
  cluster: Cluster,
  choice: FileChoice,
  half: SetupStatus["half"],
): Promise<SetupStatus> {
  try {
    const { changes, file }: SetupPlan = await halves[half](client, cluster, choice);
    const found = { half, changes, file };
    if (changes.length === 0) return { ...found, state: "ok", reasons: [] };
    return { ...found, state: "due", reasons: [countKinds(changes)], fix: runOf(half, cluster, choice) };
  } catch (error) {
    return { half, changes: [], file: undefined, ...refusal(error) };
  }
}

/** The command that runs a half of set-up with the same choices. */
function runOf(half: SetupStatus["half"], cluster: Cluster, { file }: FileChoice): Action {
  const config = file === undefined ? [] : [`--config ${file.name}`];
  const flags = flagsOf(cluster, half === "setup-mounts" ? "mounts" : "roles");
  return { do: "other", text: [half, ...config, ...flags, cluster.id].join(" ") };
}

function refusal(error: unknown): Finding {
  if (!isRefusal(error)) throw error;
  const text = error.hint?.replace(/^nothing was changed; /, "");
  return {
    state: "wrong",
    reasons: [error.message],
    ...(text === undefined ? {} : { fix: { do: "other", text } }),
  };
}

/** `would make 3 changes (PKI role 2, policy 1)` */
function countKinds(changes: readonly Change[]): string {
  const kinds = Map.groupBy(changes, ({ resource }) => resource.kind);
  const each = [...kinds].map(([kind, its]) => `${kind} ${its.length}`);
  return `would make ${many(changes.length, "change")} (${each.join(", ")})`;
}

/**
 * The state of each init token; none if the mount with their ids is missing, which has a finding of its own.
 *
 * @param fix the command that makes a new init token and keeps the rest of the cluster
 */
async function readInitTokens(
  view: ServerView,
  cluster: Cluster,
  fix: Action,
): Promise<readonly InitTokenStatus[]> {
  if (!isMountedAsWanted(await view.mounts(), secretsMount(cluster))) return [];
  return await Promise.all(initTokens(cluster).map((token) => initTokenStatus(view, token, fix)));
}

async function initTokenStatus(
  view: ServerView,
  wanted: WantedInitToken,
  fix: Action,
): Promise<InitTokenStatus> {
  const { role } = wanted;
  const none = { role, ttlSeconds: undefined, lifetimeSeconds: undefined, dueSeconds: undefined };
  try {
    const found = await readInitToken(view, wanted);
    if (found === undefined || found === "unknown") {
      const reason = found === undefined ? "is not stored" : "the server does not know it";
      return { ...none, state: "wrong", reasons: [reason], fix };
    }
    const { ttlSeconds, lifetimeSeconds } = found;
    const dueSeconds = tokenDueSeconds(found);
    const about = { role, ttlSeconds, lifetimeSeconds, dueSeconds };
    // A set-up every year keeps it from ever being due.
    return dueSeconds !== undefined && dueSeconds < 0
      ? { ...about, state: "due", reasons: ["less than a third of its lifetime is left"], fix }
      : { ...about, state: "ok", reasons: [] };
  } catch (error) {
    return { ...none, ...refusal(error) };
  }
}

function hostTokensStatus(role: string, hosts: readonly HostTokenEntry[]): HostTokensStatus {
  const tokens = hosts.filter((host) => host.role === role);
  const ending = tokens.map(({ ttlSeconds }) => ttlSeconds).filter((seconds) => seconds > 0);
  return {
    role,
    count: tokens.length,
    soonestSeconds: ending.length === 0 ? undefined : Math.min(...ending),
  };
}

/** The token of a destroyed host stays for years, so silent hosts never make anything due. */
function silentHosts(hosts: readonly HostTokenEntry[], now: Date): SilentHosts {
  const silent = hosts.filter(
    (it) => it.renewedAt !== undefined && now.getTime() - it.renewedAt.getTime() > silentMs,
  );
  const named = silent.flatMap(({ host, role, accessor, renewedAt }) =>
    host === undefined || renewedAt === undefined ? [] : [{ host, role, accessor, renewedAt }],
  );
  return {
    count: silent.length,
    unnamed: silent.length - named.length,
    latest: named.toSorted((a, b) => b.renewedAt.getTime() - a.renewedAt.getTime()).slice(0, mostNamed),
  };
}
