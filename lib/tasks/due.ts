import type { StoredSet } from "../host/certificate-set.ts";
import {
  type Certificate,
  isFor,
  isSignedBy,
  knownCertificate,
  readCertificates,
} from "../x509/certificate.ts";
import { readKey } from "../x509/key.ts";
import { isSameKeyType, type KeyType, keyTypeName } from "../x509/key-type.ts";
import { isSameNames, type Names } from "../x509/names.ts";
import { type Clocks, correctedFor, type Times, untilMs, validityOf } from "./clock.ts";
import {
  type CertificateRequest,
  type CheckedFiles,
  type CheckedRecord,
  isRecorded,
  isSealed,
  parseRecord,
  type RequestRecord,
} from "./request-record.ts";

export interface Standing {
  /** Why a new certificate is due, each in a few words; none when it is not. */
  readonly reasons: readonly string[];
  /** The one that stands, where it can be read. */
  readonly certificate?: Certificate;
  /** What time it is, as far as the clocks can be right about that certificate. */
  readonly clocks?: Clocks;
  /** It is of use still: for its key, of its CA, and not at its end. */
  readonly isUsable: boolean;
  /** What its files are to each other, where all of them can be read. */
  readonly match?: { readonly key: boolean; readonly ca: boolean };
}

/**
 * Whether what stands at a destination still is what is asked for, and for long enough. Looks at files alone, and
 * loads nothing beyond the runtime's own reader. Files that are those that were checked when they were put there, by
 * their seal or to the byte, are not parsed again.
 */
export async function standing(
  set: StoredSet,
  asked: CertificateRequest,
  now: Clocks,
  halfOfShortLife = false,
): Promise<Standing> {
  const record = parseRecord(set.request);
  if (isSealed(record, set.seal)) return verdict(recorded(set, record), asked, now, halfOfShortLife);
  const { key, certificate, ca } = set;
  if (key === undefined || certificate === undefined || ca === undefined) {
    const missing = (["key", "certificate", "ca"] as const).filter((member) => set[member] === undefined);
    const reason = missing.length === 3 ? "there is none yet" : `${missing.join(" and ")} missing`;
    return { reasons: [reason], isUsable: false };
  }
  try {
    const files = { key, certificate, ca };
    const found = isRecorded(record, files) ? recorded(files, record) : await inspected(files, record);
    return verdict(found, asked, now, halfOfShortLife);
  } catch (error) {
    return { reasons: [error instanceof Error ? error.message : String(error)], isUsable: false };
  }
}

function verdict(found: Found, asked: CertificateRequest, now: Clocks, halfOfShortLife: boolean): Standing {
  const { certificate, record } = found;
  const age = ageOf(certificate, now, { halfOfShortLife, issued: record?.issued });
  const broken = [
    found.match.key ? [] : ["the key belongs to another certificate"],
    found.match.ca ? [] : ["the CA file's CA did not sign it"],
    age.isValid ? [] : age.reasons,
  ].flat();
  const reasons = [
    broken,
    asked.keyType === undefined || isSameKeyType(found.keyType, asked.keyType)
      ? []
      : [`the key is ${keyTypeName(found.keyType)}, not ${keyTypeName(asked.keyType)}`],
    nameReasons(found, asked),
    broken.length === 0 ? age.reasons : [],
  ].flat();
  return { reasons, certificate, clocks: age.clocks, isUsable: broken.length === 0, match: found.match };
}

/** How old a certificate is. */
interface Age {
  /** By either clock. */
  readonly isValid: boolean;
  /** Why it is due for its age, by either clock: at most one. */
  readonly reasons: readonly string[];
  /** As far as they can be right about it. */
  readonly clocks: Clocks;
}

/**
 * A certificate by its times alone: due if either clock says so, and valid if either says so.
 *
 * @param issued what the clocks showed when it was issued
 */
export function ageOf(
  certificate: Times,
  now: Clocks,
  { halfOfShortLife = false, issued }: { halfOfShortLife?: boolean; issued?: Clocks | undefined } = {},
): Age {
  const due = dueAt(certificate, halfOfShortLife);
  const clocks = correctedFor({ notBefore: certificate.notBefore, dueAt: due }, issued, now);
  const validity = validityOf(certificate, clocks);
  if (validity !== "valid") {
    const words = {
      ended: "it has expired",
      "to come": "it is not valid yet",
      neither: "it is valid by no clock",
    };
    return { isValid: false, reasons: [words[validity]], clocks };
  }
  const isPast = (moment: Date) => untilMs(clocks, moment) <= 0;
  if (isPast(certificate.notAfter)) {
    const whose = clocks.host >= certificate.notAfter ? "this host's clock" : "the server's clock";
    return { isValid: true, reasons: [`it has expired by ${whose}`], clocks };
  }
  const words = `less than ${fractionLeft(certificate, halfOfShortLife).words} of its life is left`;
  return { isValid: true, reasons: isPast(due) ? [words] : [], clocks };
}

/** What a whole set holds. */
interface Found {
  readonly certificate: Certificate;
  readonly keyType: KeyType;
  /** The key is the certificate's, and the CA its signer. */
  readonly match: { readonly key: boolean; readonly ca: boolean };
  /** What was asked for when it was issued; undefined where nobody has noted that. */
  readonly record: RequestRecord | undefined;
}

function recorded(files: Pick<StoredSet, "certificate">, record: CheckedRecord): Found {
  const { keyType, ...times } = record.checked;
  const certificate = knownCertificate(() => files.certificate ?? "", certificateFile, {
    notBefore: new Date(times.notBefore),
    notAfter: new Date(times.notAfter),
  });
  return { certificate, keyType, match: { key: true, ca: true }, record };
}

const certificateFile = "the certificate file";

async function inspected(files: CheckedFiles, record: RequestRecord | undefined): Promise<Found> {
  const key = await readKey(files.key, "the key");
  const [certificate] = readCertificates(files.certificate, certificateFile);
  const authorities = readCertificates(files.ca, "the CA file");
  return {
    certificate,
    keyType: key.type,
    match: {
      key: isFor(certificate, key.key),
      ca: authorities.some((ca) => isSignedBy(certificate, ca)),
    },
    record: record?.certificate === certificate.x509.fingerprint256 ? record : undefined,
  };
}

/** Why a certificate is due whose own CA the server has no longer. */
export const otherCa = "the server has another CA by now";

const shortLifeMs = 10 * 86_400_000;

/** When so little of its life is left that the next one is due: a third, or a half of a short one. */
export function dueAt(certificate: Times, halfOfShortLife = false): Date {
  const { part } = fractionLeft(certificate, halfOfShortLife);
  return new Date(certificate.notAfter.getTime() - lifeMs(certificate) * part);
}

/** When so little is left that it is replaced outside its window, too: a tenth. */
export function urgentAt(certificate: Times): Date {
  return new Date(certificate.notAfter.getTime() - lifeMs(certificate) / 10);
}

function fractionLeft(certificate: Times, halfOfShortLife: boolean): { part: number; words: string } {
  return halfOfShortLife && lifeMs(certificate) < shortLifeMs
    ? { part: 1 / 2, words: "half" }
    : { part: 1 / 3, words: "a third" };
}

/** From first to last moment, in milliseconds. */
export function lifeMs({ notBefore, notAfter }: Times): number {
  return notAfter.getTime() - notBefore.getTime();
}

/**
 * The request that the set was issued for tells what was asked; without one (plain files of the Go tool) the
 * certificate does. A role may leave out what was asked, an organisation say, and to compare with the certificate
 * then would reissue it each day.
 */
function nameReasons({ certificate, record }: Found, asked: CertificateRequest): string[] {
  if (record === undefined) {
    return isSameNames(namesOf(certificate, asked), asked.names, certificate.commonName)
      ? []
      : ["the names are not those asked for"];
  }
  return [
    record.signPath === asked.signPath ? [] : [`it came from ${record.signPath}`],
    isSameNames(record.names, asked.names) ? [] : ["the names are not those asked for"],
    record.caChain === asked.caChain
      ? []
      : [`the CA file is to hold ${asked.caChain ? "the whole chain" : "the signer alone"}`],
  ].flat();
}

/** An organisation that nobody asked for is the role's. */
function namesOf(certificate: Certificate, asked: CertificateRequest): Names {
  const { commonName, organisations, dnsNames, ipAddresses } = certificate;
  const theirs = asked.names.organisations.length === 0 ? [] : organisations;
  return { commonName, organisations: theirs, dnsNames, ipAddresses };
}
