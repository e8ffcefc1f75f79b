import { formatDuration } from "../duration.ts";
import { Failure } from "../failure.ts";
import type { VaultClient } from "../vault/client.ts";
import { clockNote, readClocks } from "../vault/clocks.ts";
import { means, VaultError } from "../vault/error.ts";
import {
  addRoot,
  type CrossSigning,
  crossSign,
  deleteKey,
  importIssuer,
  listIssuers,
  patchIssuer,
  type RootRequest,
  readIssuer,
  renewRoot,
  writeDefaultIssuer,
  writeKeyName,
  writeReadOnlyIssuer,
} from "../vault/issuers.ts";
import { readSealed } from "../vault/sys.ts";
import { commonNameOf } from "../x509/certificate.ts";
import { newKeySteps, type RotationStep, renewSteps, rotationTarget, stepText } from "./ca-rotation.ts";
import { type Choices, type Cluster, caKeyTypes, type KeyRule } from "./cluster.ts";
import { withFile } from "./cluster-file.ts";
import { type Issuer, type MountCa, type MountCas, readMountCas } from "./mount-cas.ts";
import { isMountedAsWanted, mountsRight, mountType } from "./mount-resources.ts";
import type { WantedMount } from "./mounts.ts";
import { type Right, requireRights, right } from "./rights.ts";
import { type Obstacle, whatIsLost, whyNoRoom, whyNotRotatable } from "./rotatable.ts";
import { createServerView } from "./server-view.ts";
import type { FileChoice } from "./setup-plan.ts";
import { readStoredFile } from "./stored-file.ts";

/** What a rotation is asked for. */
export type RotationWish =
  /** A new certificate for the same key. */
  | { readonly renew: "certificate" }
  /** A new CA beside the one that signs. */
  | {
      readonly renew: "key";
      /** @default the cluster file's, else that of the CA that signs */
      readonly key: KeyRule | undefined;
      /** Even if the CA that signs was made less than a day ago. */
      readonly again: boolean;
    };

/** The plan of a rotation. Nothing is written before `apply`. */
export interface Rotation {
  readonly mount: MountCas;
  readonly steps: readonly RotationStep[];
  /** What an admin should know before; undefined if there is nothing. */
  readonly note: string | undefined;
  /**
   * Takes the steps one after the other, and reads the mount again after each.
   *
   * @param onStep called before each step
   * @param onDone called after each step
   * @returns the mount as it is then
   * @throws Failure (permission) that names each missing right; nothing is changed then
   */
  apply(onStep: (step: RotationStep) => void, onDone: (step: RotationStep) => void): Promise<MountCas>;
}

/**
 * Plans the rotation of a mount's CA from what the server holds, so that a stopped run is continued.
 *
 * @throws Failure (config) for a mount whose CA can't be rotated here; VaultError
 */
export async function planRotation(
  client: VaultClient,
  cluster: Cluster,
  wanted: WantedMount,
  wish: RotationWish,
  choice: FileChoice = {},
): Promise<Rotation> {
  const { path } = wanted;
  const { mount, now, maxLeaseTtlSeconds } = await readRotatedMount(client, cluster, wanted);
  refuseIf(whyNotRotatable(mount, path, now, wish.renew), path);
  const choices = await choicesOf(client, cluster, choice);
  // Set-up gives the mount the validity of its CA. One from a flag is stored nowhere else.
  const caValiditySeconds = choices.caValiditySeconds ?? (maxLeaseTtlSeconds || cluster.caValiditySeconds);
  if (maxLeaseTtlSeconds > 0 && caValiditySeconds > maxLeaseTtlSeconds) {
    throw tooLong(cluster, path, caValiditySeconds, maxLeaseTtlSeconds);
  }
  const target = wish.renew === "key" ? rotationTarget(mount, now, wish.again) : undefined;
  const stepsOf = (found: MountCas): readonly RotationStep[] => {
    if (wish.renew === "certificate") return renewSteps(found, now, caValiditySeconds);
    return target === undefined ? [] : newKeySteps(found, now, target);
  };
  const steps = stepsOf(mount);
  if (steps.some(({ do: what }) => what === "add" || what === "certify" || what === "renew")) {
    refuseIf(whyNoRoom(mount), path);
  }
  return {
    mount,
    steps,
    note: steps.some((step) => step.do === "add") ? whatIsLost(mount) : undefined,
    async apply(onStep, onDone) {
      const tried = `the token may not rotate the CA of ${path}`;
      await requireRights(
        client,
        steps.length === 0 ? [] : rotationRights(path),
        tried,
        "nothing was changed",
      );
      refuseWrongClocks(client);
      const root: RootRequest = {
        // As before, so that programs which check it go on.
        commonName: (mount.default && commonNameOf(mount.default.x509)) || wanted.description,
        ttlSeconds: caValiditySeconds,
        key: wish.renew === "key" ? (wish.key ?? choices.caKey ?? keyOf(mount.signing)) : undefined,
      };
      let found = mount;
      const taken = new Set<string>();
      for (let [step] = steps; step !== undefined; [step] = stepsOf(found)) {
        if (taken.has(stepText(step))) throw noEffect(path, step);
        taken.add(stepText(step));
        onStep(step);
        await take(client, path, found, step, root);
        onDone(step);
        found = await readMountCas(client, path);
      }
      return found;
    },
  };
}

/** The server would shorten the validity without an error. */
function tooLong({ id }: Cluster, path: string, wantedSeconds: number, mostSeconds: number): Failure {
  const [wanted, most] = [formatDuration(wantedSeconds), formatDuration(mostSeconds)];
  return new Failure("config", `a CA of ${wanted} is longer than the max lease TTL of ${path}, ${most}`, {
    hint: `nothing was changed; run setup-mounts ${id} with the same file or flag first`,
  });
}

/** A step that is still to do after it was taken would be taken for ever. */
function noEffect(path: string, step: RotationStep): Failure {
  return new Failure(
    "unavailable",
    `the server took the step "${stepText(step)}", and ${path} is as before`,
    {
      hint: "find out who else changes the mount, then run it again to go on",
    },
  );
}

/** The rights to read a mount's issuers and to rotate its CA. */
export function rotationRights(mount: string): readonly Right[] {
  return [
    mountsRight,
    right("read update", `${mount}/config/issuers`),
    right("read update patch", `${mount}/issuer/*`),
    right("update", `${mount}/root/rotate/existing`),
    right("update", `${mount}/root/rotate/internal`),
    right("update", `${mount}/intermediate/cross-sign`),
    right("update", `${mount}/issuers/import/cert`),
    // The last for a key that a stopped run has left without an issuer.
    right("update delete", `${mount}/key/*`),
  ];
}

/**
 * The issuers of a cluster's mount, the server's time, and the mount's max lease TTL (zero if it has none of its own).
 *
 * @throws Failure (config) if the mount is missing, is of another type, or has no issuer
 */
export async function readRotatedMount(
  client: VaultClient,
  { id }: Cluster,
  wanted: WantedMount,
): Promise<{ readonly mount: MountCas; readonly now: Date; readonly maxLeaseTtlSeconds: number }> {
  // Also tells the server's time.
  await readSealed(client);
  const { path } = wanted;
  const mounts = await createServerView(client).mounts();
  const found = mounts.get(path);
  if (found === undefined) {
    throw new Failure("config", `mount ${path} does not exist`, { hint: `run setup-mounts ${id} first` });
  }
  if (!isMountedAsWanted(mounts, wanted)) {
    throw new Failure("config", `mount ${path} is of type ${mountType(found)}, and holds no CA`, {
      hint: `nothing was changed; it is not the mount that setup-mounts ${id} makes`,
    });
  }
  const mount = await readMountCas(client, path);
  if (mount.issuers.length === 0) {
    throw new Failure("config", `mount ${path} has no issuer`, { hint: `run setup-mounts ${id} first` });
  }
  return { mount, now: readClocks(client).server, maxLeaseTtlSeconds: found.maxLeaseTtlSeconds };
}

/** @throws Failure (config) if there is an obstacle */
function refuseIf(obstacle: Obstacle | undefined, path: string): void {
  if (obstacle === undefined) return;
  throw new Failure("config", `the CA of ${path} ${obstacle.how}`, {
    hint: `nothing was changed; ${obstacle.hint}`,
  });
}

/** @throws Failure (config), since the times of a CA come from the server's clock, and nobody knows which one is right */
export function refuseWrongClocks(client: VaultClient): void {
  const note = clockNote(client);
  if (note === undefined) return;
  throw new Failure("config", note, {
    hint: "nothing was changed; set the wrong one of the two clocks first",
  });
}

/** What a cluster's flags and file, given or stored, say about its CAs. */
async function choicesOf(
  client: VaultClient,
  cluster: Cluster,
  { file }: FileChoice,
): Promise<Pick<Choices, "caKey" | "caValiditySeconds">> {
  const used = file ?? (await readStoredFile(createServerView(client), cluster, "mounts", false));
  // Throws if flags and file contradict each other.
  if (used !== undefined) withFile(cluster, used);
  return { ...used?.choices, ...cluster.chosen };
}

/** The key type and size of a CA; undefined if the server makes no keys like it. */
function keyOf(ca: MountCa | undefined): KeyRule | undefined {
  const key = ca?.roots[0]?.x509.publicKey;
  const { modulusLength = 0, namedCurve = "" } = key?.asymmetricKeyDetails ?? {};
  const curves: Readonly<Record<string, number>> = { prime256v1: 256, secp384r1: 384, secp521r1: 521 };
  const type = caKeyTypes.find((it) => it === key?.asymmetricKeyType);
  if (type === "rsa")
    return [2048, 3072, 4096].includes(modulusLength) ? { type, bits: modulusLength } : undefined;
  if (type === "ec") return namedCurve in curves ? { type, bits: curves[namedCurve] ?? 0 } : undefined;
  return type && { type, bits: 0 };
}

async function take(
  client: VaultClient,
  path: string,
  mount: MountCas,
  step: RotationStep,
  root: RootRequest,
): Promise<void> {
  const { commonName } = root;
  switch (step.do) {
    case "keep default":
      return await writeDefaultIssuer(client, path, step.issuer.id);
    case "renew":
      return await unlessMade(client, path, step.name, () =>
        renewRoot(client, path, step.name, step.ca.keyId, root),
      );
    case "add":
      return await unlessMade(client, path, step.name, () => addCa(client, path, step.name, root));
    case "certify": {
      const [signer] = step.by.roots;
      if (step.ca === undefined || signer === undefined) throw notThere(path, step.name);
      const asked = { signerId: signer.id, keyId: step.ca.keyId, commonName, notAfter: signer.notAfter };
      const id = await importIssuer(client, path, await certify(client, path, asked));
      return await writeReadOnlyIssuer(client, path, id, step.name);
    }
    case "restore chain":
      return await patchIssuer(client, path, step.issuer.id, { manual_chain: [] });
    case "restrict":
      return await writeReadOnlyIssuer(client, path, step.issuer.id, step.name);
    case "configure":
      return await patchIssuer(client, path, issuerOf(step, mount, path).id, step.settings);
    case "make default":
      return await writeDefaultIssuer(client, path, issuerOf(step, mount, path).id);
  }
}

/**
 * Has a key certified. With three CAs or more, OpenBao 2.6.2 may refuse that: it orders the signer's chain by the random
 * ids of its issuers, and then checks that each certificate has signed the one before. So the chain is cut short
 * meanwhile. Hosts that issue in that moment find the rest of the chain in the list of issuers.
 */
async function certify(client: VaultClient, path: string, asked: CrossSigning): Promise<string> {
  const { signerId } = asked;
  try {
    return await crossSign(client, path, asked);
  } catch (error) {
    const signer = await readIssuer(client, path, signerId);
    if (!(error instanceof VaultError) || error.status !== 500 || signer?.manualChain.length !== 0)
      throw error;
  }
  await patchIssuer(client, path, signerId, { manual_chain: [signerId] });
  try {
    return await crossSign(client, path, asked);
  } finally {
    await patchIssuer(client, path, signerId, { manual_chain: [] });
  }
}

/**
 * Adds a CA with a new key. If a stopped run was cut off during that, the server may have made the key alone: then
 * nothing was signed with it, and it gives way. Until it has an issuer, the key has a name that no other key gets: one
 * whose issuer an admin has removed stays. The server deletes no key that an issuer uses.
 */
async function addCa(client: VaultClient, path: string, name: string, root: RootRequest): Promise<void> {
  const keyName = `${name}-new`;
  try {
    await addRoot(client, path, name, root, keyName);
  } catch (error) {
    if (!means(error, "keyNameTaken")) throw error;
    await deleteKey(client, path, keyName);
    await addRoot(client, path, name, root, keyName);
  }
  try {
    await writeKeyName(client, path, keyName, name);
  } catch (error) {
    if (!means(error, "keyNameTaken")) throw error;
  }
}

/** An interrupted run's request may still be under way: then the server refuses a second issuer of that name. */
async function unlessMade(
  client: VaultClient,
  path: string,
  name: string,
  make: () => Promise<void>,
): Promise<void> {
  try {
    await make();
  } catch (error) {
    if (!(error instanceof VaultError) || error.status !== 400) throw error;
    const issuers = await listIssuers(client, path);
    if (!issuers.some((it) => it.name === name)) throw error;
  }
}

/** @throws Failure (temporary) if it is gone */
function issuerOf(
  { issuer, name }: { readonly issuer: Issuer | undefined; readonly name: string },
  mount: MountCas,
  path: string,
): Issuer {
  const found = issuer ?? mount.issuers.find((it) => it.name === name);
  if (found === undefined) throw notThere(path, name);
  return found;
}

function notThere(path: string, name: string): Failure {
  return new Failure("temporary", `issuer ${name} of ${path} is gone: somebody else changes the mount`, {
    hint: "find out who, then run it again to go on",
  });
}
