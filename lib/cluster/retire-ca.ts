import { formatDay, formatMinute } from "../duration.ts";
import { Failure } from "../failure.ts";
import type { VaultClient } from "../vault/client.ts";
import { listNames } from "../vault/data.ts";
import { each, type OnProgress } from "../vault/each.ts";
import { deleteIssuer, deleteKey, listKeys, readIssuersConfig } from "../vault/issuers.ts";
import { readSecret, writeSecret } from "../vault/kv.ts";
import { revokeCertificate, rotateCrls } from "../vault/pki.ts";
import { many } from "../words.ts";
import { isSelfSigned } from "../x509/certificate.ts";
import { countInUse, type InUse, noneInUse } from "./ca-certificates.ts";
import { crossesBy, leftovers, type OlderCa, olderCas } from "./ca-rotation.ts";
import type { Cluster } from "./cluster.ts";
import { type Issuer, isCross, type MountCa, type MountCas, mainIssuer } from "./mount-cas.ts";
import { isMountedAsWanted, mountsRight, mountType } from "./mount-resources.ts";
import { type MountRole, mountRolesRights, namesIssuer, readMountRoles } from "./mount-roles.ts";
import { mountName, secretsMount, type WantedMount } from "./mounts.ts";
import { type Right, requireRights, right } from "./rights.ts";
import { readRotatedMount, refuseWrongClocks } from "./rotate-ca.ts";
import { createServerView } from "./server-view.ts";

/** What a retirement is asked for. */
export interface RetireWish {
  /** Remove the issuers of older CAs. */
  readonly retire: boolean;
  /** Even if their certificates are in use: those are revoked. */
  readonly force: boolean;
  /** Also delete the keys of retired CAs. */
  readonly deleteKey: boolean;
}

/** One change that retires an older CA. */
export type RetireStep =
  | { readonly do: "revoke"; readonly ca: MountCa; readonly serials: readonly string[] }
  | { readonly do: "publish CRLs"; readonly ca: MountCa }
  /** Its certificate is kept in a secret. */
  | { readonly do: "keep certificate"; readonly ca: MountCa; readonly path: string }
  | { readonly do: "remove issuer"; readonly issuer: Issuer; readonly ca: MountCa | undefined }
  | { readonly do: "delete key"; readonly keyId: string; readonly name: string };

/** An older CA, and what keeps it. */
export interface Retiring extends OlderCa {
  readonly inUse: InUse;
  /** The roles that name it: without it they sign nothing. */
  readonly pinnedRoles: readonly string[];
  /** The roles whose certificates are not stored, so that they can neither be counted nor revoked. */
  readonly unseenRoles: readonly string[];
  /** Why it can't be removed yet, each in a sentence; none if it can. */
  readonly holds: readonly string[];
  /** The day from which it can be removed, if only waiting helps; undefined if an admin has to act first. */
  readonly readyAt: Date | undefined;
}

/** The plan of a retirement. Nothing is written before `apply`. */
export interface Retirement {
  readonly mount: MountCas;
  readonly older: readonly Retiring[];
  readonly steps: readonly RetireStep[];
  /** Keys of retired CAs that can't be deleted yet: a cross certificate for each is still needed. */
  readonly keptKeys: ReadonlyArray<{ readonly name: string; readonly issuers: readonly Issuer[] }>;
  /**
   * @param onStep called before each step
   * @param onDone called after each step
   * @throws Failure (permission) that names each missing right; nothing is changed then
   */
  apply(onStep: (step: RetireStep) => void, onDone: (step: RetireStep) => void): Promise<void>;
}

/**
 * Plans the retirement of a mount's older CAs. It reads every certificate that the mount stores.
 *
 * @throws Failure (config) if the mount is not one of a cluster's, or has no CA that signs; VaultError
 */
export async function planRetirement(
  client: VaultClient,
  cluster: Cluster,
  wanted: WantedMount,
  wish: RetireWish,
  onProgress: OnProgress,
): Promise<Retirement> {
  const { path } = wanted;
  const { mount, now } = await readRotatedMount(client, cluster, wanted);
  if (mount.signing === undefined) {
    throw new Failure("config", `${path} has no CA that signs, so no other one is older`, {
      hint: `nothing was changed; choose a default issuer whose key the mount holds: vault write ${path}/config/issuers default=ISSUER`,
    });
  }
  const serials = new Map<string, string[]>();
  const roles = await readMountRoles(client, path);
  const { older } = await readRetiring(client, path, mount, now, roles, onProgress, (serial, ca) => {
    const list = serials.get(ca.keyId) ?? [];
    serials.set(ca.keyId, list);
    list.push(serial);
  });
  const going = older.filter(({ holds }) => wish.retire && (wish.force || holds.length === 0));
  const removals = withoutDoubles([
    ...going.flatMap(({ ca }) =>
      stepsFor(cluster, wanted, mount, ca, serials.get(ca.keyId) ?? [], wish.force),
    ),
    ...(wish.retire ? leftoverSteps(mount, roles, now) : []),
  ]);
  const left = issuersAfter(mount, removals);
  const keys = wish.deleteKey ? await retiredKeys(client, cluster, wanted, going) : [];
  // The server refuses to delete a key that an issuer has.
  const isUsed = ({ keyId }: RetiredKey) => left.some((issuer) => issuer.keyId === keyId);
  const all: readonly RetireStep[] = [
    ...removals,
    ...keys.filter((key) => !isUsed(key)).map((key) => ({ do: "delete key" as const, ...key })),
  ];
  return {
    mount,
    older,
    steps: all,
    keptKeys: keys.filter(isUsed).map(({ keyId, name }) => ({
      name,
      issuers: left.filter((issuer) => issuer.keyId === keyId),
    })),
    async apply(onStep, onDone) {
      const tried = `the token may not retire a CA of ${path}`;
      await requireRights(
        client,
        all.length === 0 ? [] : retirementRights(cluster, wanted),
        tried,
        "nothing was changed",
      );
      refuseWrongClocks(client);
      if (going.length > 0) await requireSecrets(client, cluster);
      if (all.length > 0) await requireSameDefault(client, path, mount);
      for (const step of all) {
        onStep(step);
        await take(client, path, step, now, onProgress);
        onDone(step);
      }
    },
  };
}

/**
 * The older CAs of a mount, and what keeps each. If there is one, it reads every certificate that the mount stores.
 *
 * @param now by the server's clock
 * @param onUsed as for `countInUse`
 * @returns also what each CA has in use, by the id of its key; empty without an older CA
 */
export async function readRetiring(
  client: VaultClient,
  path: string,
  mount: MountCas,
  now: Date,
  roles: readonly MountRole[],
  onProgress: OnProgress,
  onUsed?: (serial: string, ca: MountCa) => void,
): Promise<{ readonly older: readonly Retiring[]; readonly inUse: ReadonlyMap<string, InUse> }> {
  const found = olderCas(mount);
  if (found.length === 0) return { older: [], inUse: new Map() };
  const inUse = await countInUse(client, path, mount, now, onProgress, onUsed);
  const older = found.map((it): Retiring => {
    const used = inUse.get(it.ca.keyId) ?? noneInUse;
    const { roots, others } = it.ca;
    const pinnedRoles = roles
      .filter((role) => [...roots, ...others].some((issuer) => namesIssuer(role, issuer)))
      .map(({ name }) => name);
    const unseenRoles = roles.filter(({ fields }) => fields.no_store === true).map(({ name }) => name);
    const acts = roleHolds(pinnedRoles, unseenRoles);
    const waits = waitHolds(it, used, now);
    const ends = [it.overlapEndsAt, used.lastEnd].flatMap((end) => end?.getTime() ?? []);
    return {
      ...it,
      inUse: used,
      pinnedRoles,
      unseenRoles,
      holds: [...acts, ...waits],
      readyAt: acts.length > 0 ? undefined : new Date(Math.max(now.getTime(), ...ends)),
    };
  });
  return { older, inUse };
}

function waitHolds({ next, overlapEndsAt }: OlderCa, inUse: InUse, now: Date): readonly string[] {
  return [
    ...inUseHold(inUse),
    ...(overlapEndsAt > now
      ? [
          `${next.name} was made less than eight days ago: ` +
            "the server can't see programs that hold only a CA file; they have the new one by then",
        ]
      : []),
  ];
}

/** That certificates of a CA are in use, as one of the sentences in `holds`; empty if none is. */
export function inUseHold({ count, lastEnd }: InUse): readonly string[] {
  return count > 0 && lastEnd !== undefined
    ? [`${many(count, "certificate")} of it in use, the last until ${formatMinute(lastEnd)} UTC`]
    : [];
}

function roleHolds(pinned: readonly string[], unseen: readonly string[]): readonly string[] {
  return [
    ...(pinned.length === 0
      ? []
      : [`it signs for ${pinned.join(", ")}: give these roles another issuer_ref first`]),
    ...(unseen.length === 0
      ? []
      : [`certificates of ${unseen.join(", ")} can't be counted: the server does not store them (no_store)`]),
  ];
}

function stepsFor(
  cluster: Cluster,
  wanted: WantedMount,
  mount: MountCas,
  ca: MountCa,
  serials: readonly string[],
  force: boolean,
): readonly RetireStep[] {
  // A cross certificate for this CA leads readers of an even older CA on to the one that signs.
  const its = [...ca.roots, ...ca.others].filter((it) => force || !isCross(it));
  // The one that is kept goes last: a run that goes on after a stop would keep another one beside it.
  its.reverse();
  const revoked: readonly RetireStep[] = serials.length === 0 ? [] : [{ do: "revoke", ca, serials }];
  const published: readonly RetireStep[] = force ? [{ do: "publish CRLs", ca }] : [];
  return [
    // Afterwards a revocation would land on the CRL of the CA that signs.
    ...revoked,
    ...published,
    { do: "keep certificate", ca, path: retiredPath(cluster, wanted, ca) },
    ...(force ? crossesBy(mount, ca).map((issuer) => removal(issuer, undefined)) : []),
    ...its.map((issuer) => removal(issuer, ca)),
  ];
}

/** Removes what nobody needs any more. A role that names one of these issuers would sign nothing without it. */
function leftoverSteps(mount: MountCas, roles: readonly MountRole[], now: Date): readonly RetireStep[] {
  const unnamed = leftovers(mount, now).filter((it) => !roles.some((role) => namesIssuer(role, it)));
  const caOf = (issuer: Issuer) => mount.cas.find(({ keyId }) => keyId === issuer.keyId);
  return unnamed.map((issuer) => removal(issuer, caOf(issuer)));
}

/** The issuers that a mount has after these steps. */
function issuersAfter({ issuers }: MountCas, steps: readonly RetireStep[]): readonly Issuer[] {
  const removed = new Set(steps.flatMap((step) => (step.do === "remove issuer" ? [step.issuer.id] : [])));
  return issuers.filter(({ id }) => !removed.has(id));
}

function removal(issuer: Issuer, ca: MountCa | undefined): RetireStep {
  return { do: "remove issuer", issuer, ca };
}

/** Each issuer is removed once, although two CAs may name it. */
function withoutDoubles(steps: readonly RetireStep[]): readonly RetireStep[] {
  const seen = new Set<string>();
  return steps.filter((step) => {
    if (step.do !== "remove issuer") return true;
    if (seen.has(step.issuer.id)) return false;
    seen.add(step.issuer.id);
    return true;
  });
}

/** Begins the name of each secret with the certificate of a mount's retired CA: `retired-ca-k8s-`. */
export function retiredPrefix({ path }: WantedMount): string {
  return `retired-ca-${mountName(path)}-`;
}

/** The secret with the certificate of a retired CA. Hosts can't read it. */
function retiredPath(cluster: Cluster, wanted: WantedMount, ca: MountCa): string {
  const serial = mainIssuer(ca)?.x509.serialNumber.toLowerCase();
  return `${secretsMount(cluster).path}/${retiredPrefix(wanted)}${serial}`;
}

interface RetiredKey {
  readonly keyId: string;
  readonly name: string;
}

/** The keys of the CAs that were retired, or that are about to be, as far as the mount still holds them. */
async function retiredKeys(
  client: VaultClient,
  cluster: Cluster,
  wanted: WantedMount,
  going: readonly Retiring[],
): Promise<readonly RetiredKey[]> {
  const { path } = secretsMount(cluster);
  await requireSecrets(client, cluster);
  const names = (await listNames(client, path)).filter((name) => name.startsWith(retiredPrefix(wanted)));
  const secrets = await each(names, (name) => readSecret(client, `${path}/${name}`));
  const held = new Set(await listKeys(client, wanted.path));
  const retired = [
    ...going.map(({ ca }) => ({ keyId: ca.keyId, name: ca.name })),
    ...secrets.flatMap((fields) =>
      typeof fields?.key_id === "string" ? [{ keyId: fields.key_id, name: String(fields.name) }] : [],
    ),
  ];
  return [...new Map(retired.map((it) => [it.keyId, it])).values()].filter(({ keyId }) => held.has(keyId));
}

/**
 * To read all certificates takes minutes, in which an admin may make an older CA the default again.
 *
 * @throws Failure (temporary) if another issuer is the default by now
 */
async function requireSameDefault(client: VaultClient, path: string, mount: MountCas): Promise<void> {
  const { defaultId } = await readIssuersConfig(client, path);
  if (defaultId === mount.default?.id) return;
  throw new Failure("temporary", `${path} has got another default issuer meanwhile`, {
    hint: "nothing was changed; find out who else changes the mount, then run it again",
  });
}

/** @throws Failure (config) if the certificates of retired CAs could not be kept */
async function requireSecrets(client: VaultClient, cluster: Cluster): Promise<void> {
  const wanted = secretsMount(cluster);
  const mounts = await createServerView(client).mounts();
  if (isMountedAsWanted(mounts, wanted)) return;
  const found = mounts.get(wanted.path);
  const how =
    found === undefined ? "is missing" : `is of type ${mountType(found)}, but has to be ${wanted.type}`;
  throw new Failure("config", `mount ${wanted.path} ${how}: it keeps the certificates of retired CAs`, {
    hint: `nothing was changed; ${found === undefined ? "run" : "move it elsewhere, then run"} setup-mounts ${cluster.id} first`,
  });
}

async function take(
  client: VaultClient,
  path: string,
  step: RetireStep,
  now: Date,
  onProgress: OnProgress,
): Promise<void> {
  switch (step.do) {
    case "revoke":
      await each(
        step.serials,
        (serial) => revokeCertificate(client, path, serial),
        (done) => onProgress(`revoked certificates of ${path}`, done, step.serials.length),
      );
      return;
    case "publish CRLs":
      return await rotateCrls(client, path);
    case "keep certificate": {
      const { ca } = step;
      const certificate = mainIssuer(ca)?.certificate ?? "";
      return await writeSecret(client, step.path, {
        certificate,
        key_id: ca.keyId,
        name: ca.name,
        mount: path,
        retired: now.toISOString(),
      });
    }
    case "remove issuer":
      return await deleteIssuer(client, path, step.issuer.id);
    case "delete key":
      return await deleteKey(client, path, step.keyId);
  }
}

/** The rights to retire a mount's older CAs and to delete their keys, by force too. */
export function retirementRights(cluster: Cluster, wanted: WantedMount): readonly Right[] {
  const { path } = wanted;
  const secrets = secretsMount(cluster).path;
  return [
    mountsRight,
    right("read", `${path}/config/issuers`),
    right("read delete", `${path}/issuer/*`),
    right("list", `${path}/certs`),
    ...mountRolesRights(path),
    right("update", `${path}/revoke`),
    right("read", `${path}/crl/rotate`),
    right("list", `${path}/keys`),
    right("delete", `${path}/key/*`),
    right("list", secrets),
    right("create read update", `${secrets}/${retiredPrefix(wanted)}*`),
  ];
}

/** A step as a line for people. */
export function retireStepText(step: RetireStep): string {
  switch (step.do) {
    case "revoke":
      return `revoke ${many(step.serials.length, "certificate")} of ${step.ca.name}`;
    case "publish CRLs":
      return `publish the CRL of ${step.ca.name}`;
    case "keep certificate":
      return `keep the certificate of ${step.ca.name} in secret ${step.path}`;
    case "remove issuer":
      return `remove issuer ${step.issuer.name || step.ca?.name || step.issuer.id} (${kindOf(step)}, until ${formatDay(step.issuer.notAfter)})`;
    case "delete key":
      return `delete the key of ${step.name}`;
  }
}

function kindOf({ issuer, ca }: Extract<RetireStep, { readonly do: "remove issuer" }>): string {
  // Beside the CAs that are retired, only replaced roots and cross certificates go.
  return isCross(issuer) || (ca === undefined && !isSelfSigned(issuer)) ? "cross certificate" : "CA";
}
