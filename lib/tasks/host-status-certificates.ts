import { statSync } from "node:fs";
import { basename } from "node:path";
import { Failure } from "../failure.ts";
import { type Finding, type State, worstState } from "../finding.ts";
import { closedFolder } from "../host/access.ts";
import { certificatePaths } from "../host/certificate-place.ts";
import { readPublicSet, readSet, type StoredSet } from "../host/certificate-set.ts";
import { compareAttributes, type Ownership } from "../host/durable.ts";
import { isDenied, printable } from "../host/file-error.ts";
import { defaultKeyMode, groupReads, keyModeText } from "../host/key-mode.ts";
import type { Manifest } from "../manifest/manifest.ts";
import { issuerOfSignPath } from "../vault/pki.ts";
import { type Certificate, issuerName, readCertificates } from "../x509/certificate.ts";
import { ipText } from "../x509/ip-address.ts";
import { keyTypeOf } from "../x509/key.ts";
import { keyTypeName } from "../x509/key-type.ts";
import type { Names } from "../x509/names.ts";
import type { Clocks } from "./clock.ts";
import { ageOf, dueAt, type Standing, standing } from "./due.ts";
import { caReason, replacementTime } from "./host-status-ca.ts";
import { type CallOptions, directCall, manifestsCall } from "./host-status-mend.ts";
import type { Answers } from "./host-status-server.ts";
import {
  type CertificateRequest,
  foreignKey,
  recordedKeyMode,
  recordedOwner,
  recordedRequest,
} from "./request-record.ts";
import { type CaOnServer, compareCa, type ServerCa } from "./server-ca.ts";

export interface CertificateStatus extends Finding {
  /** The manifest's, else the destination's last part. */
  readonly name: string;
  readonly destination: string;
  /** Its file; undefined for a certificate of a direct call. */
  readonly manifest: string | undefined;
  readonly signPath: string | undefined;
  /** Undefined where it can't be read. */
  readonly certificate: Certificate | undefined;
  /** What it is for beside its common name, as people write it. */
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly issuer: string | undefined;
  readonly keyType: string | undefined;
  readonly dueAt: Date | undefined;
  /** When a run will replace it: in its window, where it has one. Undefined for one of a direct call. */
  readonly replacedAt: Date | undefined;
  /** Undefined where not all files can be read. */
  readonly keyMatches: boolean | undefined;
  readonly caMatches: boolean | undefined;
  readonly caOnServer: CaOnServer;
}

/** A certificate to be told of, and what stands at its destination. */
export interface WantedCertificate {
  readonly name: string;
  readonly destination: string;
  readonly manifest: Manifest | undefined;
  readonly set: StoredSet | Failure;
  /** The key, or all of it, may not be read by this user. */
  readonly isDenied: boolean;
  /** What it was asked for; undefined where nobody has noted that. */
  readonly asked: CertificateRequest | undefined;
  /** Of its files, where one was asked for. */
  readonly owner: Ownership | undefined;
  /** Of its key, where one was asked for. */
  readonly keyMode: number | undefined;
}

/** @param manifest undefined for a certificate of a direct call */
export function readWanted(destination: string, manifest?: Manifest): WantedCertificate {
  const { set, denied } = readTolerantly(destination);
  return {
    name: manifest?.name ?? basename(destination),
    destination,
    manifest,
    set,
    isDenied: denied,
    asked: manifest ?? (set instanceof Failure ? undefined : recordedRequest(set)),
    owner: manifest !== undefined || set instanceof Failure ? manifest?.owner : recordedOwner(set),
    keyMode: manifest !== undefined || set instanceof Failure ? manifest?.keyMode : recordedKeyMode(set),
  };
}

function readTolerantly(destination: string): { set: StoredSet | Failure; denied: boolean } {
  try {
    return { set: readSet(destination), denied: false };
  } catch (error) {
    if (!isDenied(error)) return { set: asFailure(error), denied: false };
  }
  try {
    return { set: readPublicSet(destination), denied: true };
  } catch (error) {
    return { set: asFailure(error), denied: true };
  }
}

function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  throw error;
}

/** The issuer in the server that is to be compared with the CA; undefined where nobody knows. */
export function issuerOf({ asked }: WantedCertificate): string | undefined {
  return asked && issuerOfSignPath(asked.signPath);
}

/**
 * How a certificate stands: by its files, by the rules of the runs that issue it, and by the server's CA.
 *
 * @param configPath of the host's tokens, for the command that mends it
 */
export async function certificateStatus(
  wanted: WantedCertificate,
  answers: Answers,
  configPath: string,
): Promise<CertificateStatus> {
  const status = await statusOf(wanted, answers, configPath);
  // A run may have put a new set there between two of its files.
  return status.state === "wrong"
    ? await statusOf(readWanted(wanted.destination, wanted.manifest), answers, configPath)
    : status;
}

async function statusOf(
  wanted: WantedCertificate,
  answers: Answers,
  configPath: string,
): Promise<CertificateStatus> {
  const { name, destination, manifest, set } = wanted;
  const certificate = set instanceof Failure ? undefined : readLeaf(set);
  const judged = await judge(wanted, certificate, answers, configPath);
  return {
    name,
    destination,
    manifest: manifest?.file,
    signPath: wanted.asked?.signPath,
    certificate,
    dnsNames: certificate?.dnsNames ?? [],
    ipAddresses: certificate?.ipAddresses.map(ipText) ?? [],
    issuer: certificate && issuerName(certificate),
    keyType: certificate && keyTypeWords(certificate),
    dueAt: certificate && dueAt(certificate, manifest !== undefined),
    ...judged,
  };
}

/** Undefined where there is none, or a broken one, which `standing` tells. */
function readLeaf({ certificate }: StoredSet): Certificate | undefined {
  try {
    return certificate === undefined ? undefined : readCertificates(certificate, "the certificate file")[0];
  } catch {
    return undefined;
  }
}

/** Undefined for a kind that we don't use. */
function keyTypeWords({ x509 }: Certificate): string | undefined {
  try {
    return keyTypeName(keyTypeOf(x509.publicKey, "the certificate"));
  } catch {
    return undefined;
  }
}

type Judged = Finding & Pick<CertificateStatus, "replacedAt" | "keyMatches" | "caMatches" | "caOnServer">;

async function judge(
  wanted: WantedCertificate,
  certificate: Certificate | undefined,
  { clocks: now, issuers }: Answers,
  configPath: string,
): Promise<Judged> {
  const { set, manifest } = wanted;
  if (set instanceof Failure) return unread(set, wanted.isDenied);
  const stands = await standingOf(wanted, set, certificate, now);
  const isDue = stands.reasons.length > 0;
  const issuer = issuers.get(issuerOf(wanted) ?? "");
  // Beside a CA file that is wrong by itself, the server's says nothing.
  const ca = stands.match?.ca === false ? "unknown" : caOnServer(set, certificate, issuer);
  /** By a run that looks at the server's CA again a week after that. */
  const replacementAfter = (checkedAt: Date | undefined) => {
    const about = { isDue, ca, checkedAt, clocks: stands.clocks ?? now };
    return manifest && certificate && replacementTime(manifest, certificate, about, now.host);
  };
  const replacedAt = replacementAfter(set.checkedAt);
  const isNow = (time: Date | undefined) => time === undefined || time <= now.host;
  const waits = isDue && stands.isUsable && !isNow(replacedAt);
  const otherMode = keyModeReason(wanted);
  const foreign = foreignKey(set, wanted.owner);
  const unreadable = unreadableBy(wanted.owner, wanted.destination);
  const misplaced = isMisplaced(set, wanted.owner);
  const told: ReadonlyArray<readonly [State, string | undefined]> = [
    ...stands.reasons.map((reason) => [stands.isUsable ? (waits ? "ok" : "due") : "wrong", reason] as const),
    ["wrong", foreign && `its key is not used: ${foreign}`],
    ["wrong", unreadable],
    ["ok", waits ? "it waits for its window" : undefined],
    ["ok", manifest?.renew === "always" ? "it is renewed at each run" : undefined],
    ["due", caReason[ca]],
    ["due", otherMode],
    ["due", set.isClosed === true ? "nobody but root can read it: its own folder is closed" : undefined],
    ["due", misplaced ? "its files do not belong to their owner" : undefined],
    [
      "unknown",
      ca === "unknown" && issuer instanceof Failure
        ? `the server's CA can't be read: ${issuer.message}`
        : undefined,
    ],
    ["unknown", wanted.isDenied ? "its key can't be read" : undefined],
  ];
  const found = told.filter(([, reason]) => reason !== undefined);
  const state = worstState(found.map(([of]) => of));
  // One that looks at the server's CA now is kept back by its window alone.
  const refreshCa = caReason[ca] !== undefined;
  const isMendable = isNow(replacedAt) || (refreshCa && isNow(replacementAfter(new Date(0))));
  // No run asks when its time is to mend these.
  const isAtOnce = otherMode !== undefined || misplaced || set.isClosed === true;
  // A key that somebody else may have put there, or an admin's folder, no command mends: somebody has to look.
  const isMended =
    foreign === undefined &&
    unreadable === undefined &&
    (state === "wrong" || (state === "due" && (isAtOnce || isMendable)));
  return {
    state,
    reasons: found.flatMap(([, reason]) => reason ?? []),
    ...(isMended ? { mend: mendCommand(wanted, certificate, { configPath, refreshCa }) } : {}),
    replacedAt: replacedAt && toldAt(replacedAt, now),
    keyMatches: stands.match?.key,
    caMatches: stands.match?.ca,
    caOnServer: ca,
  };
}

/** Why the owner can't get to the files, and what would help. */
function unreadableBy(owner: Ownership | undefined, destination: string): string | undefined {
  const folder = owner && closedFolder(destination, owner);
  if (owner === undefined || folder === undefined) return undefined;
  const path = printable(folder.path);
  return (
    `its owner (${owner.uid}) can't enter ${path}, whose mode is ${folder.mode}: ` +
    `chown ${owner.uid}:${owner.gid} ${path} and chmod 0750 ${path}, if it is meant for that user`
  );
}

function isMisplaced({ attributes = {} }: StoredSet, owner: Ownership | undefined): boolean {
  return Object.values(attributes).some(
    (found) => compareAttributes(found, { mode: found.mode, owner }).isForeign,
  );
}

function caOnServer(
  set: StoredSet,
  certificate: Certificate | undefined,
  answer: ServerCa | Failure | undefined,
): CaOnServer {
  if (set.ca === undefined || certificate === undefined) return "unknown";
  if (answer === undefined) return "unknown";
  try {
    return compareCa(set, certificate, answer);
  } catch {
    return "unknown"; // broken, which `standing` tells
  }
}

/** The times of a status are the server's, where this host's clock is off. */
function toldAt(moment: Date, { host, server }: Clocks): Date {
  return new Date(moment.getTime() + (server.getTime() - host.getTime()));
}

function unread({ message }: Failure, isDenied: boolean): Judged {
  const nothing = { replacedAt: undefined, keyMatches: undefined, caMatches: undefined } as const;
  return isDenied
    ? { state: "unknown", reasons: ["its files can't be read"], ...nothing, caOnServer: "unknown" }
    : { state: "wrong", reasons: [message], ...nothing, caOnServer: "unknown" };
}

/** Without a record, what stands is what was asked for; without its key, the certificate's times tell. */
async function standingOf(
  { asked, manifest, isDenied }: WantedCertificate,
  set: StoredSet,
  certificate: Certificate | undefined,
  now: Clocks,
): Promise<Standing> {
  const isManaged = manifest !== undefined;
  if (!isDenied) {
    const same = { signPath: "", names: namesOf(certificate), caChain: false };
    return await standing(set, asked ?? same, now, isManaged);
  }
  if (certificate === undefined) return { reasons: [], isUsable: true };
  const { isValid, reasons, clocks } = ageOf(certificate, now, { halfOfShortLife: isManaged });
  return { isUsable: isValid, reasons, clocks };
}

function namesOf(certificate: Certificate | undefined): Names {
  const { commonName = "", organisations = [], dnsNames = [], ipAddresses = [] } = certificate ?? {};
  return { commonName, organisations, dnsNames, ipAddresses: ipAddresses.map(ipText) };
}

/** A key that can't be looked at is told of elsewhere. */
function keyModeReason({ destination, keyMode }: WantedCertificate): string | undefined {
  let mode: number;
  try {
    mode = statSync(certificatePaths(destination).key).mode;
  } catch {
    return undefined;
  }
  if ((mode & 0o077 & ~(keyMode ?? defaultKeyMode)) !== 0) return "others may read its key";
  const isNarrow = keyMode !== undefined && (keyMode & ~mode & groupReads) !== 0;
  return isNarrow ? `its key's mode is ${keyModeText(mode)}, not ${keyModeText(keyMode)}` : undefined;
}

function mendCommand(
  { manifest, asked, destination, owner, keyMode }: WantedCertificate,
  certificate: Certificate | undefined,
  options: CallOptions,
): string {
  if (manifest !== undefined) return manifestsCall(manifest, options);
  const { signPath, names = namesOf(certificate), caChain = false } = asked ?? {};
  return directCall({ signPath, names, caChain, destination, owner, keyMode, ...options });
}
