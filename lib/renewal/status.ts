import { basename, dirname } from "node:path";
import type { Action } from "../action.ts";
import { asFailure, Failure } from "../failure.ts";
import { type Finding, type State, worstState } from "../finding.ts";
import { closedFolder } from "../host/access.ts";
import { readPublicFiles, readSet, type SetFiles, type StoredSet } from "../host/certificate-set.ts";
import type { Ownership } from "../host/durable.ts";
import { isDenied, printable } from "../host/file-error.ts";
import type { Manifest } from "../manifest/manifest.ts";
import type { Clocks } from "../vault/clocks.ts";
import { type Certificate, issuerName, readCertificates } from "../x509/certificate.ts";
import { ipText } from "../x509/ip-address.ts";
import { keyTypeOf } from "../x509/key.ts";
import { keyTypeName } from "../x509/key-type.ts";
import type { Names } from "../x509/names.ts";
import {
  type Asked,
  assess,
  caReasons,
  decide,
  fileFaults,
  foreignKey,
  isChange,
  nextChange,
} from "./decide.ts";
import { type Inspected, inspect } from "./inspect.ts";
import type { CaRequest, CertificateRequest } from "./request.ts";
import { type CaComparison, type CaOnServer, compareCas, knownIn, type ServerCas } from "./server-ca.ts";
import { type CaCheck, callPolicy, dueAt, manifestPolicy, type RenewalPolicy } from "./when-due.ts";

export interface CertificateStatus extends Finding {
  /** The manifest's, else the destination's last part. */
  readonly name: string;
  readonly destination: string;
  /** Its file; undefined for a certificate of a direct call. */
  readonly manifest: string | undefined;
  readonly signPath: string | undefined;
  /** Undefined if it can't be read. */
  readonly certificate: Certificate | undefined;
  /** Its other names, as people write them. */
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly issuer: string | undefined;
  readonly keyType: string | undefined;
  readonly dueAt: Date | undefined;
  /** When a run will replace it or its CA file. Undefined for a certificate of a direct call, and for never. */
  readonly replacedAt: Date | undefined;
  /** Undefined if not all files can be read. */
  readonly keyMatches: boolean | undefined;
  readonly caMatches: boolean | undefined;
  readonly caOnServer: CaOnServer;
}

/** A certificate that `status` reports on, and the files at its destination. */
export interface WantedCertificate {
  readonly name: string;
  readonly destination: string;
  readonly manifest: Manifest | undefined;
  /** The files; without the key if this user may not read it. */
  readonly found: Found | Failure;
  /** This user may not read the key, or not any of the files. */
  readonly isDenied: boolean;
  /** The request; undefined if none was recorded. */
  readonly request: CertificateRequest | undefined;
  /** The owner of its files, if one was asked for. */
  readonly owner: Ownership | undefined;
  /** The mode of its key, if one was asked for. */
  readonly keyMode: number | undefined;
}

interface Found {
  readonly inspected: Inspected;
  readonly files: Partial<SetFiles>;
}

/** @param manifest undefined for a certificate of a direct call */
export async function readWanted(destination: string, manifest?: Manifest): Promise<WantedCertificate> {
  const { found, isDenied } = await readTolerantly(destination);
  const recorded =
    found instanceof Failure || !("placement" in found.inspected) ? undefined : found.inspected;
  return {
    name: manifest?.name ?? basename(destination),
    destination,
    manifest,
    found,
    isDenied,
    request: manifest ?? recorded?.record,
    owner: manifest === undefined ? recorded?.placement.owner : manifest.owner,
    keyMode: manifest === undefined ? recorded?.placement.keyMode : manifest.keyMode,
  };
}

async function readTolerantly(destination: string): Promise<{ found: Found | Failure; isDenied: boolean }> {
  try {
    const stored = readSet(destination);
    return {
      found: { inspected: await inspect(destination, stored), files: filesOf(stored) },
      isDenied: false,
    };
  } catch (error) {
    if (!isDenied(error)) return { found: asFailure(error), isDenied: false };
  }
  try {
    const files = readPublicFiles(destination);
    return { found: { inspected: { state: "hidden", certificate: readLeaf(files) }, files }, isDenied: true };
  } catch (error) {
    return { found: asFailure(error), isDenied: true };
  }
}

function filesOf(stored: StoredSet): Partial<SetFiles> {
  return stored.state === "missing" ? {} : stored.files;
}

/** What the server is asked about one certificate's CAs. */
export interface CaQuestion {
  readonly destination: string;
  readonly request: CaRequest;
  /** What the server need not send, because the files hold it. */
  readonly known: readonly Certificate[];
}

/** Undefined if it is not known where the certificate is from. */
export function caQuestion({ destination, request, found }: WantedCertificate): CaQuestion | undefined {
  const known = found instanceof Failure ? [] : knownIn(found.files);
  return request && { destination, request, known };
}

/** What a status is made from, beside a certificate's files. */
export interface StatusContext {
  readonly clocks: Clocks;
  /** The server's CAs by each destination. */
  readonly cas: ReadonlyMap<string, ServerCas | Failure>;
  /** The folder of the host's tokens, for the command that fixes a finding. */
  readonly configPath: string;
}

/** The state of a certificate, by what the next run would decide and by its files' owners and modes. */
export async function certificateStatus(
  wanted: WantedCertificate,
  context: StatusContext,
): Promise<CertificateStatus> {
  const status = statusOf(wanted, context);
  // A run may have put a new set there between two of its files.
  return status.state === "wrong"
    ? statusOf(await readWanted(wanted.destination, wanted.manifest), context)
    : status;
}

function statusOf(wanted: WantedCertificate, context: StatusContext): CertificateStatus {
  const { name, destination, manifest, found } = wanted;
  const certificate = found instanceof Failure ? undefined : readLeaf(found.files);
  return {
    name,
    destination,
    manifest: manifest?.file,
    signPath: wanted.request?.signPath,
    certificate,
    dnsNames: certificate?.dnsNames ?? [],
    ipAddresses: certificate?.ipAddresses.map(ipText) ?? [],
    issuer: certificate && issuerName(certificate),
    keyType: certificate && keyTypeWords(certificate),
    dueAt: certificate && dueAt(certificate, policyOf(wanted, "never")),
    ...(found instanceof Failure
      ? unread(found, wanted.isDenied)
      : judge(wanted, found, certificate, context)),
  };
}

/** A certificate without a manifest is renewed by hand. */
function policyOf({ manifest }: WantedCertificate, caCheck: CaCheck): RenewalPolicy {
  return manifest === undefined ? callPolicy(caCheck) : manifestPolicy(manifest, caCheck);
}

/** Undefined if there is none, or if it can't be read: then `assess` says why. */
function readLeaf({ certificate }: Partial<SetFiles>): Certificate | undefined {
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

function judge(
  wanted: WantedCertificate,
  { inspected, files }: Found,
  certificate: Certificate | undefined,
  { clocks, cas, configPath }: StatusContext,
): Judged {
  const { manifest, isDenied } = wanted;
  const asked = askedOf(wanted, certificate);
  const policy = policyOf(wanted, "weekly");
  const { ca, failure } = caOnServer(inspected, files, certificate, asked, cas.get(wanted.destination));
  const { reasons: dueReasons, isUsable } = assess(inspected, asked, policy, clocks);
  const decision = decide(inspected, asked, policy, clocks, ca);
  const changesAt = manifest && certificate && nextChange(inspected, asked, policy, clocks, ca);
  const caReason = caReasons[ca];
  // A run that checks the CA at once waits only for its window.
  const soon = caReason === undefined ? policy : policyOf(wanted, "now");
  const isChangedByCall = isChange(decide(inspected, asked, soon, clocks, ca));
  const waits = decision.action === "wait";
  const faults = fileFaults(inspected, wanted);
  const foreign = foreignKey(inspected, asked);
  const unreadable = unreadableBy(wanted.owner, wanted.destination);
  const said: ReadonlyArray<readonly [State, string | undefined]> = [
    ...dueReasons.map((reason) => [isUsable ? (waits ? "ok" : "due") : "wrong", reason] as const),
    ["wrong", foreign && `its key is not used: ${foreign.why}`],
    ["wrong", unreadable],
    ["ok", waits && dueReasons.length > 0 ? "it waits for its window" : undefined],
    ["ok", manifest?.renew === "always" ? "it is renewed at each run" : undefined],
    ["due", caReason],
    ...faults.map((fault) => ["due", fault] as const),
    ["unknown", failure && `the server's CAs can't be compared: ${failure.message}`],
    ["unknown", isDenied ? "its key can't be read" : undefined],
  ];
  const found = said.filter(([, reason]) => reason !== undefined);
  const state = worstState(found.map(([of]) => of));
  // Every run fixes owners and modes, even outside windows.
  const isFixedAtOnce = faults.length > 0;
  // No command fixes a foreign key or an admin's folder: a person has to decide.
  const isFixable =
    foreign === undefined &&
    unreadable === undefined &&
    (state === "wrong" || (state === "due" && (isFixedAtOnce || isChangedByCall)));
  return {
    state,
    reasons: found.flatMap(([, reason]) => reason ?? []),
    ...(isFixable ? { fix: fixOf(wanted, certificate, configPath, caReason !== undefined) } : {}),
    replacedAt: changesAt && byServerClock(changesAt, clocks),
    keyMatches: inspected.state === "whole" ? inspected.keyMatches : undefined,
    caMatches: inspected.state === "whole" ? inspected.caMatches : undefined,
    caOnServer: ca,
  };
}

/** Without a record, the certificate itself counts as the request. */
function askedOf(wanted: WantedCertificate, certificate: Certificate | undefined): Asked {
  const { request = { signPath: "", names: namesOf(certificate), caChain: false }, owner, keyMode } = wanted;
  return { ...request, owner, keyMode };
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

/** A CA file that is wrong anyway is not compared with the server's CAs. */
function caOnServer(
  inspected: Inspected,
  { certificate: certificateFile, ca }: Partial<SetFiles>,
  certificate: Certificate | undefined,
  asked: CaRequest,
  answer: ServerCas | Failure | undefined,
): CaComparison {
  if (answer === undefined) return { ca: "unknown" };
  const failure = answer instanceof Failure ? { failure: answer } : {};
  const unknown = { ca: "unknown", ...failure } as const;
  if (certificateFile === undefined || ca === undefined || certificate === undefined) return unknown;
  if (inspected.state === "whole" && !inspected.caMatches) return unknown;
  const record = "record" in inspected ? inspected.record : undefined;
  try {
    return compareCas({ certificate: certificateFile, ca }, certificate, asked, record, answer);
  } catch {
    return { ca: "unknown" }; // a file can't be read: `assess` says why
  }
}

/** Times in a status are the server's, if this host's clock is wrong. */
function byServerClock(moment: Date, { host, server }: Clocks): Date {
  return new Date(moment.getTime() + (server.getTime() - host.getTime()));
}

function unread({ message }: Failure, isDenied: boolean): Judged {
  const nothing = { replacedAt: undefined, keyMatches: undefined, caMatches: undefined } as const;
  return isDenied
    ? { state: "unknown", reasons: ["its files can't be read"], ...nothing, caOnServer: "unknown" }
    : { state: "wrong", reasons: [message], ...nothing, caOnServer: "unknown" };
}

function namesOf(certificate: Certificate | undefined): Names {
  const { commonName = "", organisations = [], dnsNames = [], ipAddresses = [] } = certificate ?? {};
  return { commonName, organisations, dnsNames, ipAddresses: ipAddresses.map(ipText) };
}

function fixOf(
  { manifest, request, destination, owner, keyMode }: WantedCertificate,
  certificate: Certificate | undefined,
  configPath: string,
  refreshCa: boolean,
): Action {
  if (manifest !== undefined) {
    return { do: "renew manifests", configDir: dirname(manifest.file), configPath, refreshCa };
  }
  const { signPath, names = namesOf(certificate), caChain = false } = request ?? {};
  return {
    ...{ do: "renew one", configPath, refreshCa },
    ...{ signPath, names, caChain, destination, owner, keyMode },
  };
}
