import { formatMinute } from "../duration.ts";
import { Failure } from "../failure.ts";
import { certificatePaths, type Member, memberNames } from "../host/certificate-place.ts";
import { lookAtSet, type SeenSet, type SetFiles, type StoredSet } from "../host/certificate-set.ts";
import { fixAttributes, type LockedPlace, lockPlace, type SetAttributes } from "../host/certificate-write.ts";
import type { Ownership } from "../host/durable.ts";
import { printable } from "../host/file-error.ts";
import type { SetHome } from "../host/foreign-key.ts";
import { defaultKeyMode, groupReads, keyModeText } from "../host/key-mode.ts";
import type { VaultClient } from "../vault/client.ts";
import { type Clocks, clockNote, learnServerTime, readClocks } from "../vault/clocks.ts";
import type { Certificate } from "../x509/certificate.ts";
import type { KeyType } from "../x509/key-type.ts";
import { longestCommonName } from "../x509/names.ts";
import { hasSameBlocks } from "../x509/pem.ts";
import { chooseKey, foreignKeyFailure, refuseForeignKey } from "./choose-key.ts";
import { type Decision, decide, keyModeOf } from "./decide.ts";
import { type Facts, type Inspected, inspect } from "./inspect.ts";
import type { Renewal, RenewalJob, RenewalRun } from "./renewal.ts";
import { replacedRecord, requestRecord } from "./request.ts";
import type { CaReader } from "./server-ca.ts";
import { caCheckMs, dueAt, isCaCheckDue, makesNewKey } from "./when-due.ts";

/** What a run has done about a certificate. */
export interface Issued {
  readonly outcome: "issued" | "not due" | "waiting" | "CA refreshed";
  readonly certificate: Certificate;
  /** When the certificate is due. */
  readonly dueAt: Date;
  /** Why it was issued, or why it is due; empty for a call that issues in any case. */
  readonly reasons: readonly string[];
  /** When a waiting certificate will be replaced. */
  readonly waitsUntil?: Date;
  readonly keyType?: KeyType;
  readonly keyKept?: boolean;
  /** Which files a refresh has changed. */
  readonly refreshed?: readonly Member[];
  /** Somebody has to act on this change, or on one before it. */
  readonly isPending: boolean;
}

type Allowed = Exclude<Decision, { readonly action: "refuse" }>;
type Kept = Exclude<Allowed, { readonly action: "issue" }>;

/** A destination's files, and the decision about them. */
interface Judged {
  readonly inspected: Inspected;
  readonly decision: Allowed;
  /** What the clocks showed. */
  readonly now: Clocks;
}

/** A destination's files under the lock, with their text. */
interface LockedState {
  readonly stored: StoredSet;
  readonly inspected: Inspected;
  readonly now: Clocks;
}

/**
 * Keeps one certificate as requested. It decides by the files at the destination. If a new certificate is due, it has
 * the key signed and writes key, certificate and CA as one set.
 *
 * @throws Failure; key, certificate and CA have not changed then
 */
export async function renew(renewal: Renewal, run: RenewalRun): Promise<Issued> {
  const job: RenewalJob = { ...renewal, ...run, caReader: run.caReader ?? caReaderFor(run.client) };
  if (job.policy.renew === "due") await learnServerTime(job.client);
  const clock = clockNote(job.client);
  if (clock !== undefined) (job.onClockNote ?? job.onNote)?.(clock);
  const { inspected, decision } = await judge(job, job.seen ?? lookAtSet(job.destination), job.client);
  if (decision.action === "none" || decision.action === "wait") {
    if (decision.files !== "rewrite") return settle(job, inspected, decision);
  }
  const { signal, onNote } = job;
  using place = await lockPlace(job.destination, job.owner, { signal, onWait: onNote, onNote });
  // Another run may have issued it while this one waited.
  const stored = place.read();
  const again = await judge(job, stored, job.client);
  const state = { stored, inspected: again.inspected, now: again.now };
  if (again.decision.action === "issue") return await issue(place, state, again.decision.reasons, job);
  return await keep(place, state, again.decision, job);
}

/** What all certificates of a run ask for the server's CAs with. Most runs ask for none, and load nothing for it. */
export function caReaderFor(client: VaultClient): () => Promise<CaReader> {
  let reader: Promise<CaReader> | undefined;
  return () => {
    reader ??= import("./server-ca.ts").then(({ caReader }) => caReader(client));
    return reader;
  };
}

/**
 * Decides by the files that were seen at a destination.
 *
 * @param client undefined decides by this host's clock alone
 * @throws Failure (data) for a key that must not be signed
 */
export async function judge(renewal: Renewal, seen: SeenSet, client?: VaultClient): Promise<Judged> {
  const { destination, policy } = renewal;
  if (!makesNewKey(policy)) refuseForeignKey(renewal, seen);
  const inspected = await inspect(destination, seen);
  const now = readClocks(client);
  const decision = decide(inspected, renewal, policy, now);
  if (decision.action === "refuse") throw foreignKeyFailure(destination, decision.foreign);
  return { inspected, decision, now };
}

/** The outcome for a certificate that stays as it is, apart from its owner and modes. */
function settle(job: RenewalJob, inspected: Inspected, decision: Kept): Issued {
  if (decision.action !== "wait" && decision.files === "fix") tryTo(job, () => fixFiles(inspected, job));
  const isCheckAsked = job.policy.renew !== "now" && job.policy.caCheck === "now";
  if (isCheckAsked && decision.action === "none" && decision.caCheckAt !== undefined) {
    job.onNote?.(
      `the server's CAs are not checked before the window opens, at ${formatMinute(decision.caCheckAt)} UTC`,
    );
  }
  const { certificate, dueAt, reasons } = decision;
  const isPending = isPendingOf(inspected);
  return decision.action === "wait"
    ? { outcome: "waiting", waitsUntil: decision.until, certificate, dueAt, reasons, isPending }
    : { outcome: "not due", certificate, dueAt, reasons, isPending };
}

/** A certificate that stays: its key may have to get another mode, and its CA may have to be checked. */
async function keep(
  place: LockedPlace,
  state: LockedState,
  decision: Kept,
  job: RenewalJob,
): Promise<Issued> {
  const { stored, inspected, now } = state;
  const rewritten = decision.files === "rewrite" ? rewriteKey(place, state, job) : undefined;
  const outcome = settle(job, inspected, decision);
  if (decision.action !== "check CA" || stored.state !== "whole") return outcome;
  const { askServerCas, compareCas, knownIn } = await import("./server-ca.ts");
  const { certificate } = decision;
  const answer = await askServerCas(await job.caReader(), job, knownIn(stored.files));
  const { record } = recordedIn(inspected);
  const { ca, files, failure } = compareCas(stored.files, certificate, job, record, answer);
  // At the same moment as before: its window may have closed while the server was asked.
  const next = decide(inspected, job, job.policy, now, ca);
  if (next.action === "issue") return await issue(place, state, next.reasons, job, true);
  if (failure !== undefined) throw failure;
  if (next.action !== "refresh CA" || files === undefined) {
    tryTo(job, () => place.markChecked());
    return outcome;
  }
  const refreshed = refreshCa(
    place,
    { inspected, now, stored: { ...stored, request: rewritten ?? stored.request } },
    { ...stored.files, ...files },
    job,
  );
  const isPending = job.keepsPending === true || outcome.isPending;
  return { ...outcome, outcome: "CA refreshed", refreshed, isPending };
}

/**
 * Writes the CAs as the server has them now. The certificate stays.
 *
 * @returns the files that have changed
 */
function refreshCa(
  place: LockedPlace,
  { stored, inspected }: LockedState,
  files: SetFiles,
  job: RenewalJob,
): readonly Member[] {
  if (stored.state !== "whole") return [];
  const request = (fingerprint: string | undefined, home: SetHome) =>
    replacedRecord(stored.request, { files, fingerprint, home });
  const changed = memberNames.filter((member) => files[member] !== stored.files[member]);
  place.replace(
    { ...files, request },
    attributesOf(inspected, job),
    job.keepsPending === true ? changed : [],
  );
  return changed;
}

function recordedIn(inspected: Inspected): Partial<Pick<Facts, "record" | "checkedAt">> {
  return "record" in inspected ? inspected : {};
}

function isPendingOf(inspected: Inspected): boolean {
  return "isPending" in inspected && inspected.isPending;
}

/**
 * Writes the key again with its new mode, and records that mode for calls without one.
 *
 * @returns the record
 */
function rewriteKey(
  place: LockedPlace,
  { stored, inspected }: LockedState,
  job: RenewalJob,
): string | undefined {
  if (stored.state !== "whole") return undefined;
  const { files, checkedAt } = stored;
  const { keyMode = defaultKeyMode } = job;
  let record = "";
  const request = (fingerprint: string | undefined, home: SetHome) => {
    record = replacedRecord(stored.request, { files, fingerprint, home, keyMode });
    return record;
  };
  place.replace({ ...files, request, caCheckedAt: checkedAt }, attributesOf(inspected, job), []);
  return record;
}

function attributesOf(inspected: Inspected, job: RenewalJob): SetAttributes {
  return { owner: job.owner ?? inherited(inspected), keyMode: keyModeOf(inspected, job) };
}

/** A service that reads the key as its own user can still read it afterwards. Only root can give files away. */
function inherited(inspected: Inspected): Ownership | undefined {
  const key = "attributes" in inspected ? inspected.attributes.key : undefined;
  return process.getuid?.() === 0 && key !== undefined ? { uid: key.uid, gid: key.gid } : undefined;
}

/** Runs an action that must not fail the run, since the certificate is right without it. A failure becomes a note. */
function tryTo({ onNote }: RenewalJob, act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    onNote?.(error.message);
  }
}

function fixFiles(inspected: Inspected, job: RenewalJob): void {
  const { destination, owner, onNote } = job;
  const { fixed, linked } = fixAttributes(destination, { owner, keyMode: keyModeOf(inspected, job) });
  for (const path of fixed) onNote?.(`owner and mode of ${path} were set again`);
  for (const path of linked) {
    onNote?.(`${path} has another name (a hard link), so its owner and mode are left as they are`);
  }
}

/** @param isAsked the server has just been asked for its CAs */
async function issue(
  place: LockedPlace,
  { stored, inspected, now: before }: LockedState,
  reasons: readonly string[],
  job: RenewalJob,
  isAsked = false,
): Promise<Issued> {
  const existing: Partial<SetFiles> = stored.state === "missing" ? {} : stored.files;
  const { key, kept } = await chooseKey(existing.key, job);
  noteLongName(job);
  const { signAndAsk } = await import("./sign.ts");
  const { record, checkedAt } = recordedIn(inspected);
  const isCheckDue = isCaCheckDue(job.policy, checkedAt, before.host);
  const { signed, cas, caCheck, ...made } = await signAndAsk(
    key,
    { files: existing, record, isCheckDue, isAsked },
    job,
  );
  const { leaf, now } = signed;
  noteIgnored(leaf, job);
  const files = { key: key.pem, ...made.files };
  const request = (fingerprint?: string, home?: SetHome) =>
    requestRecord(
      { ...job, keyMode: keyModeOf(inspected, job) },
      leaf,
      { files, keyType: key.type, fingerprint, issued: now, ...cas },
      home,
    );
  const changed: Member[] = ["certificate"];
  if (!kept) changed.push("key");
  // After a rotation the new certificate's CA comes first. To change the order alone is no reason for a restart.
  if (!hasSameBlocks(files.ca, existing.ca ?? "")) changed.push("ca");
  const pending = job.keepsPending === true ? changed : [];
  const caCheckedAt = {
    made: undefined,
    // Else a certificate that is renewed each week would never lead to a check.
    "not due": checkedAt,
    // The next run checks.
    missed: new Date(now.host.getTime() - caCheckMs),
  }[caCheck];
  place.replace({ ...files, request, caCheckedAt }, attributesOf(inspected, job), pending);
  noteNarrowed(inspected, job);
  return {
    outcome: "issued",
    certificate: leaf,
    dueAt: dueAt(leaf, job.policy),
    reasons,
    keyType: key.type,
    keyKept: kept,
    isPending: job.keepsPending === true || isPendingOf(inspected),
  };
}

function noteIgnored(leaf: Certificate, { names, onNote }: RenewalJob): void {
  const ignored = names.organisations.filter((name) => !leaf.organisations.includes(name));
  if (ignored.length === 0) return;
  const list = ignored.map((it) => JSON.stringify(it)).join(", ");
  onNote?.(`the role decides the organisation, and did not take ${list}`);
}

/** A service that read the key by its group no longer can: this note is better than its failure. */
function noteNarrowed(inspected: Inspected, job: RenewalJob): void {
  const found = "attributes" in inspected ? inspected.attributes.key?.mode : undefined;
  const [before = 0, after = defaultKeyMode] = [found, keyModeOf(inspected, job)];
  if ((before & ~after & groupReads) === 0) return;
  job.onNote?.(
    `the mode of ${printable(certificatePaths(job.destination).key)} was ${keyModeText(before)} and is ` +
      `${keyModeText(after)} now: its group can no longer read it; ask for mode 0640 if it should ` +
      "(--key-mode, key_mode in a manifest)",
  );
}

function noteLongName({ names: { commonName }, onNote }: RenewalJob): void {
  if (commonName.length <= longestCommonName) return;
  onNote?.(
    `the common name ${printable(commonName)} has ${commonName.length} characters: RFC 5280 allows ${longestCommonName}, ` +
      "and a program that keeps to that may refuse the certificate",
  );
}
