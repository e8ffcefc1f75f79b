import { ExitCode, Failure } from "../failure.ts";
import { certificatePaths } from "../host/certificate-place.ts";
import {
  type LockedPlace,
  lockPlace,
  mendAttributes,
  readSet,
  type StoredSet,
} from "../host/certificate-set.ts";
import type { Ownership } from "../host/durable.ts";
import type { VaultClient } from "../vault/client.ts";
import { signCsr } from "../vault/pki.ts";
import type { Certificate } from "../x509/certificate.ts";
import { generateKey, type PrivateKey, readKey } from "../x509/key.ts";
import { defaultKeyType, isSameKeyType, type KeyType } from "../x509/key-type.ts";
import { checkSigned } from "./check-signed.ts";
import { clockNote, serverTime } from "./clock.ts";
import { type CertificateRequest, dueAt, requestRecord, standing } from "./due.ts";

export interface IssueOptions extends CertificateRequest {
  /** With a token that may use the sign path. */
  readonly client: VaultClient;
  /** The three files' path, without `-key.pem`, `.pem`, `-ca.pem`. */
  readonly destination: string;
  /** Of the files and of new folders; where it is not given, a key that stands passes on its own. */
  readonly owner?: Ownership | undefined;
  /** Issue only when the one that stands is due. */
  readonly ifDue: boolean;
  /** Make a new key, whatever stands. */
  readonly force: boolean;
  /** The CA file holds the whole chain, not the signer alone. */
  readonly caChain: boolean;
  /** Ends the waiting for another run. */
  readonly signal: AbortSignal;
  readonly onNote?: (sentence: string) => void;
}

export interface Issued {
  readonly outcome: "issued" | "not due";
  readonly certificate: Certificate;
  /** When `ifDue` will issue the next one. */
  readonly dueAt: Date;
  /** Why it was issued; empty for an order. */
  readonly reasons: readonly string[];
  readonly keyType?: KeyType;
  readonly keyKept?: boolean;
}

/**
 * Has a certificate signed for the key at a destination, and puts both there with the CA as one set.
 *
 * @throws Failure: nothing at the destination has changed then
 */
export async function issueCertificate(options: IssueOptions): Promise<Issued> {
  const clock = clockNote(options.client);
  if (clock !== undefined) options.onNote?.(clock);
  const fresh = await notDue(readSet(options.destination), options);
  if (fresh !== undefined) return fresh;
  using place = await lockPlace(options.destination, options.owner, {
    signal: options.signal,
    onWait: (path) => options.onNote?.(`waiting for another run that holds ${path}`),
  });
  // Another run may have issued it while this one waited.
  return (await notDue(place.read(), options)) ?? (await issue(place, options));
}

async function notDue(set: StoredSet, options: IssueOptions): Promise<Issued | undefined> {
  if (!options.ifDue || options.force) return undefined;
  const { reasons, certificate } = await standing(set, options, serverTime(options.client));
  if (reasons.length > 0 || certificate === undefined) return undefined;
  for (const path of mendAttributes(options.destination, options.owner)) {
    options.onNote?.(`${path} has its owner and mode set again`);
  }
  return { outcome: "not due", certificate, dueAt: dueAt(certificate), reasons };
}

async function issue(place: LockedPlace, options: IssueOptions): Promise<Issued> {
  const set = place.read();
  const { client, names, signPath } = options;
  const { reasons } = options.ifDue
    ? await standing(set, options, serverTime(options.client))
    : { reasons: [] };
  const { key, kept } = await chooseKey(set, options);
  const { createCsr } = await import("../x509/csr.ts");
  const csr = createCsr(key, names);
  const signed = await signCsr(client, signPath, { csr, ...names });
  const { leaf, intermediates, authorities } = checkSigned(signed, key, names, serverTime(client));
  const files = {
    key: key.pem,
    certificate: join([leaf, ...intermediates]),
    ca: join(options.caChain ? authorities : [authorities[0]]),
    request: requestRecord(options, leaf),
  };
  place.replace(files, options.owner ?? inherited(set));
  return {
    outcome: "issued",
    certificate: leaf,
    dueAt: dueAt(leaf),
    reasons,
    keyType: key.type,
    keyKept: kept,
  };
}

/** The key that stands is kept, unless a new one is asked for in words: `--force`, or another type. */
async function chooseKey(
  set: StoredSet,
  { destination, force, keyType }: IssueOptions,
): Promise<{ key: PrivateKey; kept: boolean }> {
  if (set.key !== undefined && !force) {
    const key = await readStandingKey(set.key, certificatePaths(destination).key);
    if (keyType === undefined || isSameKeyType(key.type, keyType)) return { key, kept: true };
  }
  return { key: await generateKey(keyType ?? defaultKeyType), kept: false };
}

async function readStandingKey(pem: string, path: string): Promise<PrivateKey> {
  try {
    return await readKey(pem, path);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw new Failure(ExitCode.data, error.message, {
      hint: error.hint ?? "it is left as it is; use --force to put a new key in its place",
      cause: error.cause,
    });
  }
}

/** A service that reads the key as its own user goes on to do so. Only root can give files away. */
function inherited(set: StoredSet): Ownership | undefined {
  return process.getuid?.() === 0 ? set.owner : undefined;
}

function join(certificates: readonly Certificate[]): string {
  return certificates.map(({ pem }) => pem).join("");
}
