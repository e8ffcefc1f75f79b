import {
  readPublicFiles,
  readSet,
  type SeenSet,
  type SetFacts,
  type SetFiles,
} from "../host/certificate-set.ts";
import type { Ownership } from "../host/durable.ts";
import {
  type Certificate,
  isFor,
  isSignedBy,
  knownCertificate,
  readCertificates,
} from "../x509/certificate.ts";
import { readKey } from "../x509/key.ts";
import type { KeyType } from "../x509/key-type.ts";
import {
  type CheckedRecord,
  isRecorded,
  isUntouched,
  parsePlacement,
  parseRecord,
  type RecordedPlacement,
  type RequestRecord,
} from "./request.ts";

/** A destination's files, read as far as a decision needs them. */
export type Inspected = Missing | PartialSet | Whole | Hidden;

/** None of the three files. */
interface Missing {
  readonly state: "missing";
}

/** Facts of a set, its records parsed. */
export interface Facts extends Omit<SetFacts, "request" | "noted"> {
  /** Undefined for plain files, and for a record that can't be read. */
  readonly record: RequestRecord | undefined;
  readonly placement: RecordedPlacement & {
    /** The owner that was asked for. */
    readonly owner: Ownership | undefined;
  };
}

/** Some of the files, or all with one that can't be read. */
interface PartialSet extends Facts {
  readonly state: "partial";
  /** In a few words. */
  readonly reason: string;
}

/** Key, certificate and CA. */
export interface Whole extends Facts {
  readonly state: "whole";
  /** Its times are known; anything else is read from the disk when it is used. */
  readonly certificate: Certificate;
  readonly keyType: KeyType;
  readonly keyMatches: boolean;
  /** A CA of the CA file has signed the certificate. */
  readonly caMatches: boolean;
  /** The record of the request that this certificate was issued for; undefined if there is none. */
  readonly issuedFor: RequestRecord | undefined;
}

/** A certificate whose key this user may not read. */
interface Hidden {
  readonly state: "hidden";
  /** Undefined if it can't be read either. */
  readonly certificate: Certificate | undefined;
}

const certificateFile = "the certificate file";

/**
 * Reads the files that were seen at a destination. Files that are unchanged since they were checked (same fingerprint
 * or same bytes) are not parsed again. Loads nothing beyond the runtime's own reader.
 *
 * @throws Failure as `readSet`
 */
export async function inspect(destination: string, seen: SeenSet): Promise<Inspected> {
  if (seen.state === "missing") return seen;
  const facts = factsOf(seen);
  const { record } = facts;
  if (seen.state === "unread") {
    if (!isUntouched(record, seen.fingerprint)) return await inspect(destination, readSet(destination));
    return recorded(facts, record, () => readPublicFiles(destination).certificate ?? "");
  }
  if (seen.state === "partial") {
    const missing = (["key", "certificate", "ca"] as const).filter((it) => seen.files[it] === undefined);
    return { state: "partial", reason: `${missing.join(" and ")} missing`, ...facts };
  }
  const { files } = seen;
  if (isRecorded(record, files)) return recorded(facts, record, () => files.certificate);
  try {
    return await parsed(facts, files);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { state: "partial", reason, ...facts };
  }
}

/** What is known of a destination before its files are read. */
export function factsOf({ request, noted, ...seen }: Exclude<SeenSet, { readonly state: "missing" }>): Facts {
  const { attributes, keyOrigin, checkedAt, isPending, isClosed } = seen;
  return {
    ...{ attributes, keyOrigin, checkedAt, isPending, isClosed },
    record: parseRecord(request),
    placement: placementOf(noted, attributes.key),
  };
}

function placementOf(noted: string | undefined, key: Ownership | undefined): Facts["placement"] {
  const record = parseRecord(noted);
  // Release 1.0.0 recorded neither home nor owner: its files belong to the owner that was asked for.
  const isOld = record !== undefined && record.home === undefined;
  const owner = isOld ? key && { uid: key.uid, gid: key.gid } : record?.owner;
  return { ...parsePlacement(noted), owner };
}

function recorded(facts: Facts, record: CheckedRecord, read: () => string): Whole {
  const { keyType, notBefore, notAfter } = record.checked;
  const times = { notBefore: new Date(notBefore), notAfter: new Date(notAfter) };
  return {
    state: "whole",
    ...facts,
    certificate: knownCertificate(read, certificateFile, times),
    keyType,
    keyMatches: true,
    caMatches: true,
    issuedFor: record,
  };
}

/** @throws Failure (data) for a file that can't be read */
async function parsed(facts: Facts, files: SetFiles): Promise<Whole> {
  const { record } = facts;
  const key = await readKey(files.key, "the key");
  const [certificate] = readCertificates(files.certificate, certificateFile);
  const authorities = readCertificates(files.ca, "the CA file");
  return {
    state: "whole",
    ...facts,
    certificate,
    keyType: key.type,
    keyMatches: isFor(certificate, key.key),
    caMatches: authorities.some((ca) => isSignedBy(certificate, ca)),
    issuedFor: record?.certificate === certificate.x509.fingerprint256 ? record : undefined,
  };
}
