import { calendarDate } from "../calendar.ts";
import type { SetFiles, StoredSet } from "../host/certificate-set.ts";
import type { Ownership } from "../host/durable.ts";
import { keyModeText, readKeyMode } from "../host/key-mode.ts";
import { keyFault, type SetHome } from "../host/key-origin.ts";
import type { Certificate } from "../x509/certificate.ts";
import type { KeyType } from "../x509/key-type.ts";
import type { Names } from "../x509/names.ts";
import type { Clocks } from "./clock.ts";

/** What was asked for: kept beside the set, and compared with what is asked for now. */
export interface CertificateRequest {
  /** `demo/pki/k8s/sign/kubelet` */
  readonly signPath: string;
  readonly names: Names;
  /** Undefined: whatever key is there will do. */
  readonly keyType?: KeyType | undefined;
  /** The CA file holds the whole chain, not the signer alone. */
  readonly caChain: boolean;
}

/** What `request.json` beside a set holds. */
export interface RequestRecord extends Omit<CertificateRequest, "keyType"> {
  /** SHA-256 fingerprint of the certificate that was given for it. */
  readonly certificate: string;
  /** What the clocks showed when it was given. Older versions did not note that. */
  readonly issued?: Clocks | undefined;
  readonly checked?: Checked | undefined;
  /** Which CA the server named before it was given: a fingerprint, or `none`. Older versions did not note that. */
  readonly serverCa?: string | undefined;
  /** The destination that the set was made for; sets of release 1.0.0 have none. */
  readonly home?: SetHome | undefined;
  /** Of the files, where one was asked for. */
  readonly owner?: Ownership | undefined;
  /** Of the key, where one was asked for: `0640`. */
  readonly keyMode?: string | undefined;
}

/** What was known of the set when it was put there, whole and right. */
interface Checked {
  /** See `digest`. */
  readonly files: string;
  /** Of the three files, as they were put there. */
  readonly seal?: string | undefined;
  readonly keyType: KeyType;
  readonly notBefore: string;
  readonly notAfter: string;
}

export type CheckedRecord = RequestRecord & { readonly checked: Checked };
export type CheckedFiles = Pick<SetFiles, "key" | "certificate" | "ca">;

/** The record to keep beside a set; with its files, which the caller has checked, they need not be read again. */
export function requestRecord(
  asked: CertificateRequest & {
    readonly owner?: Ownership | undefined;
    readonly keyMode?: number | undefined;
  },
  given: Certificate,
  checked?: {
    readonly files: CheckedFiles;
    readonly keyType: KeyType;
    readonly seal?: string | undefined;
    readonly issued?: Clocks;
    readonly serverCa?: string | undefined;
  },
  home?: SetHome,
): string {
  const record: RequestRecord = {
    signPath: asked.signPath,
    names: asked.names,
    caChain: asked.caChain,
    certificate: given.x509.fingerprint256,
    home,
    issued: checked?.issued,
    serverCa: checked?.serverCa,
    owner: asked.owner,
    keyMode: asked.keyMode === undefined ? undefined : keyModeText(asked.keyMode),
    checked: checked && {
      files: digest(checked.files),
      seal: checked.seal,
      keyType: checked.keyType,
      notBefore: given.notBefore.toISOString(),
      notAfter: given.notAfter.toISOString(),
    },
  };
  return `${JSON.stringify(record, undefined, 2)}\n`;
}

/** What the certificate that stands was asked for; undefined where nobody has noted that. */
export function recordedRequest(set: StoredSet): CertificateRequest | undefined {
  const record = recordOf(set);
  return record && { signPath: record.signPath, names: record.names, caChain: record.caChain };
}

/** What was noted of the certificate that stands; undefined where nobody has. */
export function recordOf(set: StoredSet): RequestRecord | undefined {
  return parseRecord(set.request);
}

/** The owner that was asked for when the set was issued; undefined where none was, or there is no record of it. */
export function recordedOwner(set: StoredSet): Ownership | undefined {
  const record = parseRecord(set.noted);
  // Release 1.0.0 noted neither: the key's owner was asked for, then.
  return record === undefined || record.home !== undefined ? record?.owner : set.owner;
}

/** The mode of the key that was asked for; undefined where none was. */
export function recordedKeyMode(set: StoredSet): number | undefined {
  return readKeyMode(parsePlacing(set.noted).keyMode);
}

/** The same record, of a key that has another mode now; and of its destination, which release 1.0.0 did not note. */
export function withKeyMode(text: string, mode: number, home: SetHome): string {
  const record = { ...parseRecord(text), home, keyMode: keyModeText(mode) };
  return `${JSON.stringify(record, undefined, 2)}\n`;
}

/**
 * Why the key that stands must not be signed, in a few words; undefined for one that may be, and where there is none.
 *
 * @param owner of the files, where one is asked for
 */
export function foreignKey(set: StoredSet, owner: Ownership | undefined): string | undefined {
  return set.keyOrigin && keyFault(set.keyOrigin, owner, parsePlacing(set.noted).home);
}

/** The three files are those that were checked when they were put there, which need not be read to know that. */
export function isSealed(
  record: RequestRecord | undefined,
  seal: string | undefined,
): record is CheckedRecord {
  return seal !== undefined && record?.checked?.seal === seal;
}

/** The same of files that were read: to the byte. */
export function isRecorded(record: RequestRecord | undefined, files: CheckedFiles): record is CheckedRecord {
  return record?.checked !== undefined && record.checked.files === digest(files);
}

/** Of all three at once. It tells nothing of the key, which nobody can guess. */
function digest({ key, certificate, ca }: CheckedFiles): string {
  return new Bun.CryptoHasher("sha256").update(JSON.stringify([key, certificate, ca])).digest("hex");
}

/** Undefined for anything but what `requestRecord` writes: then the certificate itself is compared. */
export function parseRecord(text: string | undefined): RequestRecord | undefined {
  try {
    const { signPath, names, caChain, certificate, issued, checked, serverCa, home, owner, keyMode } =
      JSON.parse(text ?? "null");
    const lists = [names.organisations, names.dnsNames, names.ipAddresses];
    const texts = [signPath, certificate, names.commonName, ...lists.flat()];
    return lists.every(Array.isArray) &&
      texts.every((it) => typeof it === "string") &&
      typeof caChain === "boolean"
      ? {
          ...{ signPath, names, caChain, certificate },
          issued: readIssued(issued),
          checked: isRight(checked) ? checked : undefined,
          serverCa: typeof serverCa === "string" ? serverCa : undefined,
          home: isHome(home) ? home : undefined,
          owner: isOwner(owner) ? owner : undefined,
          keyMode: readKeyMode(keyMode) === undefined ? undefined : keyMode,
        }
      : undefined;
  } catch {
    return undefined;
  }
}

/** What is noted of the place and the key alone, also where nobody knows what the certificate was asked for. */
function parsePlacing(text: string | undefined): Pick<RequestRecord, "home" | "keyMode"> {
  try {
    const { home, keyMode } = JSON.parse(text ?? "");
    return {
      home: isHome(home) ? home : undefined,
      keyMode: readKeyMode(keyMode) === undefined ? undefined : keyMode,
    };
  } catch {
    return {};
  }
}

function isHome(value: SetHome | undefined): value is SetHome {
  return typeof value?.path === "string" && typeof value.folder === "string";
}

function isOwner(value: Ownership | undefined): value is Ownership {
  return Number.isSafeInteger(value?.uid) && Number.isSafeInteger(value?.gid);
}

function isRight(value: Checked | undefined): value is Checked {
  return (
    typeof value?.files === "string" &&
    typeof value.keyType?.type === "string" &&
    typeof value.keyType.bits === "number" &&
    calendarDate(value.notBefore) !== undefined &&
    calendarDate(value.notAfter) !== undefined
  );
}

function readIssued(value: Readonly<Record<string, string>> | undefined): Clocks | undefined {
  const [host, server] = [calendarDate(value?.host ?? ""), calendarDate(value?.server ?? "")];
  return host && server && { host, server };
}
