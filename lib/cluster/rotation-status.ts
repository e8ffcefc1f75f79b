import type { VaultClient } from "../vault/client.ts";
import type { OnProgress } from "../vault/each.ts";
import { noneInUse } from "./ca-certificates.ts";
import { olderCas } from "./ca-rotation.ts";
import type { Cluster } from "./cluster.ts";
import { rotateCommand } from "./issuer-status.ts";
import type { MountCa, MountCas } from "./mount-cas.ts";
import type { MountRole } from "./mount-roles.ts";
import { type Retiring, readRetiring } from "./retire-ca.ts";

/** A CA of a mount, and what it has signed. */
export interface CaStatus {
  readonly name: string;
  readonly keyId: string;
  readonly signs: boolean;
  /** When the last of its own certificates ends. */
  readonly notAfter: Date;
  readonly leftSeconds: number;
  /** How many of its certificates are in use; undefined if they were not counted, as the mount is not being rotated. */
  readonly certificatesInUse: number | undefined;
  /** When the last one of those ends. */
  readonly lastEnd: Date | undefined;
}

/** What is left to do after a CA with a new key took over from an older one. */
export interface RotationStatus {
  /** A command, or what an admin has to do first. */
  readonly next: string;
  /** When the command can be run; undefined if an admin has to act first. */
  readonly readyAt: Date | undefined;
  /** Why the older CAs can't be retired yet, each in a sentence. */
  readonly holds: readonly string[];
}

export interface MountRotation {
  /** The oldest first. */
  readonly cas: readonly CaStatus[];
  /** Undefined if no CA is older than the one that signs. */
  readonly rotation: RotationStatus | undefined;
}

/**
 * The CAs of a mount. If one is older than the one that signs, every certificate that the mount stores is read.
 *
 * @param now by the server's clock
 * @throws VaultError
 */
export async function readMountRotation(
  client: VaultClient,
  cluster: Cluster,
  path: string,
  mount: MountCas,
  roles: readonly MountRole[],
  now: Date,
  onProgress: OnProgress,
): Promise<MountRotation> {
  const isRotated = olderCas(mount).length > 0;
  const { older, inUse } = await readRetiring(client, path, mount, now, roles, onProgress);
  const cas = mount.cas.map((ca): CaStatus => {
    const notAfter = endOf(ca);
    const used = isRotated ? (inUse.get(ca.keyId) ?? noneInUse) : undefined;
    return {
      name: ca.name,
      keyId: ca.keyId,
      signs: ca.keyId === mount.signing?.keyId,
      notAfter,
      leftSeconds: (notAfter.getTime() - now.getTime()) / 1000,
      certificatesInUse: used?.count,
      lastEnd: used?.lastEnd,
    };
  });
  return {
    cas,
    rotation: isRotated ? rotationStatus(older, `${rotateCommand(cluster, path)} --retire`) : undefined,
  };
}

/** A cross certificate may end later than the CA itself. */
function endOf({ roots, others }: MountCa): Date {
  const own = roots.length > 0 ? roots : others;
  return new Date(Math.max(...own.map(({ notAfter }) => notAfter.getTime())));
}

/** @param command that removes those of the older CAs that can go */
function rotationStatus(older: readonly Retiring[], command: string): RotationStatus {
  const holds = older.flatMap(({ ca, holds }) => holds.map((hold) => `${ca.name}: ${hold}`));
  const days = older.flatMap(({ readyAt }) => readyAt?.getTime() ?? []);
  return days.length === 0
    ? { next: holds[0] ?? command, readyAt: undefined, holds }
    : { next: command, readyAt: new Date(Math.min(...days)), holds };
}
