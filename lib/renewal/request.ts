import { calendarDate } from "../calendar.ts";
import type { SetFiles } from "../host/certificate-set.ts";
import type { Ownership } from "../host/durable.ts";
import type { SetHome } from "../host/foreign-key.ts";
import { keyModeText, readKeyMode } from "../host/key-mode.ts";
import type { Clocks } from "../vault/clocks.ts";
import type { Certificate } from "../x509/certificate.ts";
import type { KeyType } from "../x509/key-type.ts";
import type { Names } from "../x509/names.ts";

/** The wanted certificate. It is recorded beside the set, and compared with later requests. */
export interface CertificateRequest {
  /** `demo/pki/k8s/sign/kubelet` */
  readonly signPath: string;
  readonly names: Names;
  /** Undefined: any existing key will do. */
  readonly keyType?: KeyType | undefined;
  /** The CA file also holds the CAs above the mount's own. */
  readonly caChain: boolean;
}

/** The part of a request that decides which CAs a certificate comes with. */
export type CaRequest = Pick<CertificateRequest, "signPath" | "caChain">;

/** Where the files go, and who may read them. */
export interface Placement {
  /** The three files' path, without `-key.pem`, `.pem`, `-ca.pem`. */
  readonly destination: string;
  /** The owner of the files and of new folders; undefined keeps the owner of the key. */
  readonly owner?: Ownership | undefined;
  /** The mode of the key; undefined keeps the mode that was asked for before. @default 0600 */
  readonly keyMode?: number | undefined;
}

/** What `request.json` beside a set holds. */
export interface RequestRecord extends Omit<CertificateRequest, "keyType"> {
  /** SHA-256 fingerprint of the certificate that was issued for it. */
  readonly certificate: string;
  /** What the clocks showed when it was issued. Older versions did not record that. */
  readonly issued?: Clocks | undefined;
  readonly checked?: Checked | undefined;
  /** The CAs that the server sent with the certificate, as a digest. Older versions did not record that. */
  readonly signedBy?: string | undefined;
  /**
   * The CA that the server named before it signed: a fingerprint, or `none`. Recorded for servers that do not list the
   * keys of their issuers, and by older versions.
   */
  readonly serverCa?: string | undefined;
  /** The destination that the set was made for; sets of release 1.0.0 have none. */
  readonly home?: SetHome | undefined;
  /** The owner of the files, if one was asked for. */
  readonly owner?: Ownership | undefined;
  /** The mode of the key, if one was asked for: `0640`. */
  readonly keyMode?: string | undefined;
}

/** What was known of the set when it was written, complete and right. */
interface Checked {
  /** See `digest`. */
  readonly files: string;
  /** The three files' fingerprint. In the file it has the name that release 1.0.0 gave it, `seal`. */
  readonly fingerprint?: string | undefined;
  readonly keyType: KeyType;
  readonly notBefore: string;
  readonly notAfter: string;
}

export type CheckedRecord = RequestRecord & { readonly checked: Checked };

/**
 * The record to keep beside a set, as JSON. With the set's files, which the caller has checked, later runs need not
 * read them again.
 */
export function requestRecord(
  asked: CertificateRequest & Partial<Placement>,
  issued: Certificate,
  checked?: {
    readonly files: SetFiles;
    readonly keyType: KeyType;
    readonly fingerprint?: string | undefined;
    readonly issued?: Clocks;
    readonly signedBy?: string | undefined;
    readonly serverCa?: string | undefined;
  },
  home?: SetHome,
): string {
  const record = {
    signPath: asked.signPath,
    names: asked.names,
    caChain: asked.caChain,
    certificate: issued.x509.fingerprint256,
    home,
    issued: checked?.issued,
    signedBy: checked?.signedBy,
    serverCa: checked?.serverCa,
    owner: asked.owner,
    keyMode: asked.keyMode === undefined ? undefined : keyModeText(asked.keyMode),
    checked: checked && {
      files: digest(checked.files),
      seal: checked.fingerprint,
      keyType: checked.keyType,
      notBefore: issued.notBefore.toISOString(),
      notAfter: issued.notAfter.toISOString(),
    },
  };
  return toJson(record);
}

/** The parts of a record that change when files are written again without a new certificate. */
interface Replacement {
  readonly files: SetFiles;
  readonly fingerprint: string | undefined;
  /** Release 1.0.0 did not record it. */
  readonly home: SetHome;
  /** @default as recorded */
  readonly keyMode?: number | undefined;
}

/**
 * The same record for files that were written again, with a new CA file or another mode of the key.
 *
 * @param text the record, perhaps of another version; undefined for plain files
 */
export function replacedRecord(text: string | undefined, replacement: Replacement): string {
  const { files, fingerprint, home, keyMode } = replacement;
  const record = parseRecord(text);
  const checked = record?.checked && {
    ...JSON.parse(text ?? "null").checked,
    files: digest(files),
    seal: fingerprint,
  };
  const mode = keyMode === undefined ? {} : { keyMode: keyModeText(keyMode) };
  return toJson({ ...record, home, ...mode, checked });
}

function toJson(record: object): string {
  return `${JSON.stringify(record, undefined, 2)}\n`;
}

/** Whether three files are unchanged since they were checked, by their fingerprint. */
export function isUntouched(record: RequestRecord | undefined, fingerprint: string): record is CheckedRecord {
  return record?.checked?.fingerprint === fingerprint;
}

/** Whether three files are unchanged since they were checked, by their bytes. */
export function isRecorded(record: RequestRecord | undefined, files: SetFiles): record is CheckedRecord {
  return record?.checked !== undefined && record.checked.files === digest(files);
}

/** SHA-256 over all three files. It reveals nothing of the key, which nobody can guess. */
function digest({ key, certificate, ca }: SetFiles): string {
  return new Bun.CryptoHasher("sha256").update(JSON.stringify([key, certificate, ca])).digest("hex");
}

/** Undefined for a text that `requestRecord` did not write: then the certificate itself is compared. */
export function parseRecord(text: string | undefined): RequestRecord | undefined {
  try {
    const { signPath, names, caChain, certificate, issued, checked, home, owner, keyMode, ...cas } =
      JSON.parse(text ?? "null");
    const lists = [names.organisations, names.dnsNames, names.ipAddresses];
    const strings = [signPath, certificate, names.commonName, ...lists.flat()];
    return lists.every(Array.isArray) &&
      strings.every((it) => typeof it === "string") &&
      typeof caChain === "boolean"
      ? {
          ...{ signPath, names, caChain, certificate },
          issued: readIssued(issued),
          checked: readChecked(checked),
          signedBy: typeof cas.signedBy === "string" ? cas.signedBy : undefined,
          serverCa: typeof cas.serverCa === "string" ? cas.serverCa : undefined,
          home: isHome(home) ? home : undefined,
          owner: isOwner(owner) ? owner : undefined,
          keyMode: readKeyMode(keyMode) === undefined ? undefined : keyMode,
        }
      : undefined;
  } catch {
    return undefined;
  }
}

/** What a record says about the destination and the key. */
export interface RecordedPlacement {
  readonly home?: SetHome | undefined;
  /** The mode of the key that was asked for. */
  readonly keyMode?: number | undefined;
}

/** The same from a record that may be incomplete: its request may be unknown. */
export function parsePlacement(text: string | undefined): RecordedPlacement {
  try {
    const { home, keyMode } = JSON.parse(text ?? "");
    return { home: isHome(home) ? home : undefined, keyMode: readKeyMode(keyMode) };
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

function readChecked(
  value: (Omit<Checked, "fingerprint"> & { seal?: unknown }) | undefined,
): Checked | undefined {
  const isRight =
    typeof value?.files === "string" &&
    typeof value.keyType?.type === "string" &&
    typeof value.keyType.bits === "number" &&
    calendarDate(value.notBefore) !== undefined &&
    calendarDate(value.notAfter) !== undefined;
  if (value === undefined || !isRight) return undefined;
  const { files, keyType, notBefore, notAfter, seal } = value;
  return { files, fingerprint: typeof seal === "string" ? seal : undefined, keyType, notBefore, notAfter };
}

function readIssued(value: Readonly<Record<string, string>> | undefined): Clocks | undefined {
  const [host, server] = [calendarDate(value?.host ?? ""), calendarDate(value?.server ?? "")];
  return host && server && { host, server };
}
