import { asFailure, Failure, reworded } from "../failure.ts";
import { certificatePaths } from "../host/certificate-place.ts";
import type { SeenSet } from "../host/certificate-set.ts";
import { printable } from "../host/file-error.ts";
import type { ForeignKey } from "../host/foreign-key.ts";
import { generateKey, type PrivateKey, readKey } from "../x509/key.ts";
import { defaultKeyType, isSameKeyType } from "../x509/key-type.ts";
import { foreignKey } from "./decide.ts";
import { factsOf } from "./inspect.ts";
import type { Renewal } from "./renewal.ts";
import type { Placement } from "./request.ts";
import { makesNewKey } from "./when-due.ts";

/** Keeps the existing key, unless a new one is asked for: by `--force`, or by another key type. */
export async function chooseKey(
  existing: string | undefined,
  { destination, policy, keyType }: Renewal,
): Promise<{ key: PrivateKey; kept: boolean }> {
  if (existing !== undefined && !makesNewKey(policy)) {
    const key = await readExistingKey(existing, certificatePaths(destination).key);
    if (keyType === undefined || isSameKeyType(key.type, keyType)) return { key, kept: true };
  }
  return { key: await generateKey(keyType ?? defaultKeyType), kept: false };
}

/**
 * Refuses a key that another user may know, by what was seen alone: such a key is not opened.
 *
 * @throws Failure (data)
 */
export function refuseForeignKey(placement: Placement, seen: SeenSet): void {
  const foreign = seen.state === "missing" ? undefined : foreignKey(factsOf(seen), placement);
  if (foreign !== undefined) throw foreignKeyFailure(placement.destination, foreign);
}

/** The Failure (data) for a key that must not be signed: another user may know it. */
export function foreignKeyFailure(destination: string, { why, remedy }: ForeignKey): Failure {
  const { key } = certificatePaths(destination);
  return new Failure("data", `${printable(key)} is not used: ${why}`, {
    hint:
      `nothing was changed; find out how it got there; if it is right, ${remedy}; ` +
      "else have a new key made: remove it, or use --force in a direct call",
  });
}

async function readExistingKey(pem: string, path: string): Promise<PrivateKey> {
  try {
    return await readKey(pem, path);
  } catch (error) {
    const failure = asFailure(error);
    const left = "it is left as it is; remove it, or use --force in a direct call, to have a new one made";
    throw reworded(failure, { hint: failure.hint ?? left });
  }
}
