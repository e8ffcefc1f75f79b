import { formatMinute } from "../duration.ts";
import { Failure } from "../failure.ts";
import { lookAtSet } from "../host/certificate-look.ts";
import { certificatePaths, type Member } from "../host/certificate-place.ts";
import type { StoredSet } from "../host/certificate-set.ts";
import {
  isMendDue,
  type LockedPlace,
  lockPlace,
  mendAttributes,
  type SetAttributes,
} from "../host/certificate-write.ts";
import type { Ownership } from "../host/durable.ts";
import { printable } from "../host/file-error.ts";
import { defaultKeyMode, groupReads, keyModeText } from "../host/key-mode.ts";
import type { SetHome } from "../host/key-origin.ts";
import type { VaultClient } from "../vault/client.ts";
import { issuerOfSignPath, readIssuerChain, signCsr } from "../vault/pki.ts";
import { type Certificate, isSameCertificate } from "../x509/certificate.ts";
import { generateKey, type PrivateKey, readKey } from "../x509/key.ts";
import { defaultKeyType, isSameKeyType, type KeyType } from "../x509/key-type.ts";
import { longestCommonName } from "../x509/names.ts";
import { type CheckedCertificate, chainOf, checkSigned } from "./check-signed.ts";
import { type Clocks, clockNote, learnServerTime, nextCaLook, readClocks } from "./clock.ts";
import { dueAt, otherCa, standing } from "./due.ts";
import {
  type CertificateRequest,
  foreignKey,
  recordedKeyMode,
  recordOf,
  requestRecord,
  withKeyMode,
} from "./request-record.ts";
import { askServerCa, compareCa, type ServerCa, serverCaId } from "./server-ca.ts";
import { explainRefusal } from "./sign-refusal.ts";

export interface IssueOptions extends CertificateRequest {
  /** With a token that may use the sign path. */
  readonly client: VaultClient;
  /** The three files' path, without `-key.pem`, `.pem`, `-ca.pem`. */
  readonly destination: string;
  /** Of the files and of new folders; where it is not given, a key that stands passes on its own. */
  readonly owner?: Ownership | undefined;
  /** Of the key; where it is not given, the one that was asked for before. @default 0600 */
  readonly keyMode?: number | undefined;
  /** Issue only when the one that stands is due. */
  readonly ifDue: boolean;
  /** Make a new key, whatever stands. */
  readonly force: boolean;
  /** What a look at the destination has found just now. */
  readonly found?: StoredSet | undefined;
  /** Ends the waiting for another run. */
  readonly signal: AbortSignal;
  readonly onNote?: (sentence: string) => void;
  /** Where a certificate lives for less than ten days, half of its life may be used, not two thirds. */
  readonly halfOfShortLife?: boolean;
  /** When it is looked at whether the server has another CA by now. @default never */
  readonly caLook?: CaLook | undefined;
  /** As `readIssuerChain`. @default asks the server each time */
  readonly readChain?: (issuer: string) => Promise<readonly string[]>;
  /** Keeps on disk, from before the change, that somebody has to act on it: see `takePending`. */
  readonly keepsPending?: boolean;
  /** When a certificate that is due, and valid still, may be replaced; undefined for now. */
  readonly waitUntil?: (standing: Certificate, now: Clocks) => Date | undefined;
}

/** Of one that is not due: once a week, or whatever was looked at this week. */
export type CaLook = "weekly" | "now";

export interface Issued {
  readonly outcome: "issued" | "not due" | "waiting" | "CA refreshed";
  readonly certificate: Certificate;
  /** When `ifDue` will issue the next one. */
  readonly dueAt: Date;
  /** Why it was issued; empty for an order. */
  readonly reasons: readonly string[];
  /** When the one that waits will be replaced. */
  readonly waitsUntil?: Date;
  readonly keyType?: KeyType;
  readonly keyKept?: boolean;
  /** Somebody has to act on it, or on a change before it. */
  readonly isPending: boolean;
}

/**
 * Has a certificate signed for the key at a destination, and puts both there with the CA as one set.
 *
 * @throws Failure: nothing at the destination has changed then
 */
export async function issueCertificate(options: IssueOptions): Promise<Issued> {
  if (options.ifDue) await learnServerTime(options.client);
  const clock = clockNote(options.client);
  if (clock !== undefined) options.onNote?.(clock);
  const set = options.found ?? lookAtSet(options.destination);
  const decision = await decide(set, options);
  if ("outcome" in decision && !isOtherMode(set, options) && !isCaCheckDue(set, decision, options))
    return decision;
  using place = await lockPlace(options.destination, options.owner, {
    signal: options.signal,
    onWait: options.onNote,
  });
  // Another run may have issued it while this one waited.
  const found = place.read();
  const again = await decide(found, options);
  if (!("outcome" in again)) return await issue(place, found, again.reasons, options);
  const locked = noteMode(place, found, options);
  if (!isCaCheckDue(locked, again, options)) return again;
  const followed = await followCa(place, locked, again, options);
  return "outcome" in followed ? followed : await issue(place, locked, [otherCa], options, followed.named);
}

/** What is to be done about what stands: nothing now, or a new certificate, and why. */
async function decide(
  set: StoredSet,
  options: IssueOptions,
): Promise<Issued | { reasons: readonly string[] }> {
  if (!options.force) refuseForeignKey(set, options);
  // An order looks at nothing that stands; a wish at each run still has its window.
  if (options.force || (!options.ifDue && options.waitUntil === undefined)) return { reasons: [] };
  const now = readClocks(options.client);
  const { reasons, certificate, clocks, isUsable } = await standing(
    set,
    options,
    now,
    options.halfOfShortLife,
  );
  if (certificate === undefined || clocks === undefined) return { reasons };
  const about = {
    certificate,
    dueAt: dueAt(certificate, options.halfOfShortLife),
    reasons,
    isPending: set.isPending === true,
  };
  if (options.ifDue && reasons.length === 0) {
    const asked = { owner: options.owner, keyMode: keyModeOf(set, options) };
    // With another mode of the key it is put there anew, tied to its destination before its group can read it.
    if (!isOtherMode(set, options) && isMendDue(set, asked)) orTell(options, () => mend(asked, options));
    return { outcome: "not due", ...about };
  }
  const waitsUntil = isUsable ? options.waitUntil?.(certificate, clocks) : undefined;
  return waitsUntil === undefined ? { reasons } : { outcome: "waiting", waitsUntil, ...about };
}

/** A direct call that asks for no mode keeps the one that was asked for before. */
function keyModeOf(set: StoredSet, { keyMode }: IssueOptions): number | undefined {
  return keyMode ?? recordedKeyMode(set);
}

/** The key is to have another mode than the one that is noted beside it. */
function isOtherMode(set: StoredSet, { keyMode }: IssueOptions): boolean {
  const noted = recordedKeyMode(set) ?? defaultKeyMode;
  return set.keyOrigin !== undefined && keyMode !== undefined && keyMode !== noted;
}

/** Notes a mode that was asked for since, for calls to come, which may not ask for one. */
function noteMode(place: LockedPlace, set: StoredSet, options: IssueOptions): StoredSet {
  const { key, certificate, ca } = set;
  if (!isOtherMode(set, options) || key === undefined || certificate === undefined || ca === undefined)
    return set;
  const { keyMode = defaultKeyMode } = options;
  let request = "";
  const note = (_: string | undefined, home: SetHome) => {
    request = withKeyMode(set.request ?? "", keyMode, home);
    return request;
  };
  place.replace({ key, certificate, ca, request: note }, attributesOf(set, options), []);
  return { ...set, request, noted: request };
}

function attributesOf(set: StoredSet, options: IssueOptions): SetAttributes {
  return { owner: options.owner ?? inherited(set), keyMode: keyModeOf(set, options) };
}

/** What must not fail the run, since the certificate is right without it: where it fails, that is told. */
function orTell({ onNote }: IssueOptions, act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    onNote?.(error.message);
  }
}

function mend(asked: SetAttributes, { destination, onNote }: IssueOptions): void {
  const { mended, linked } = mendAttributes(destination, asked);
  for (const path of mended) onNote?.(`${path} has its owner and mode set again`);
  for (const path of linked) {
    onNote?.(`${path} has another name (a hard link), so its owner and mode are left as they are`);
  }
}

/** What the look may lead to, a new certificate say, has to wait for its window, too. */
function isCaCheckDue(
  { checkedAt }: StoredSet,
  { outcome, certificate }: Issued,
  { client, caLook, waitUntil, onNote }: IssueOptions,
): boolean {
  if (caLook === undefined || outcome !== "not due") return false;
  const now = readClocks(client);
  const isRecent = checkedAt === undefined || now.host < nextCaLook(checkedAt, now.host);
  if (caLook === "weekly" && isRecent) return false;
  const opensAt = waitUntil?.(certificate, now);
  if (opensAt !== undefined && caLook === "now") {
    onNote?.(`the server's CA is not looked at before its window, at ${formatMinute(opensAt)} UTC`);
  }
  return opensAt === undefined;
}

/** Gives the server's answer where it names another CA than before, and a new certificate is needed. */
async function followCa(
  place: LockedPlace,
  set: StoredSet,
  standing: Issued,
  options: IssueOptions,
): Promise<Issued | { readonly named: ServerCa | Failure }> {
  const { key, certificate, ca, request } = set;
  const answer = await askServerCa(() => readChain(options));
  if (key === undefined || certificate === undefined || ca === undefined) return { named: answer };
  const found = compareCa(set, standing.certificate, answer);
  if (found === "other") return { named: answer };
  if (found === "same") {
    orTell(options, () => place.markChecked());
    return standing;
  }
  if (answer instanceof Failure) throw answer;
  // The same CA with a new certificate of its own, a longer life say: what it signed stays good.
  const [issuer, ...above] = answer;
  const files = {
    key,
    certificate,
    request: request ?? "",
    ca: join(options.caChain ? chainOf(standing.certificate, issuer, above) : [issuer]),
  };
  place.replace(files, attributesOf(set, options), options.keepsPending === true ? ["ca"] : []);
  return {
    ...standing,
    outcome: "CA refreshed",
    isPending: options.keepsPending === true || standing.isPending,
  };
}

/** @param named the CA that the server has named just now, where it was asked */
async function issue(
  place: LockedPlace,
  set: StoredSet,
  reasons: readonly string[],
  options: IssueOptions,
  named?: ServerCa | Failure,
): Promise<Issued> {
  const { names } = options;
  const { key, kept } = await chooseKey(set, options);
  tellLongName(options);
  const { signed, serverCa } = await signAndAsk(key, set, options, named);
  const { leaf, intermediates, authorities, now } = signed;
  const ignored = names.organisations.filter((name) => !leaf.organisations.includes(name));
  if (ignored.length > 0) {
    options.onNote?.(
      `the role decides the organisation, and did not take ${ignored.map((it) => JSON.stringify(it)).join(", ")}`,
    );
  }
  const signedFiles = {
    key: key.pem,
    certificate: join([leaf, ...intermediates]),
    ca: caFileOf(authorities, options),
  };
  const files = {
    ...signedFiles,
    request: (seal?: string, home?: SetHome) =>
      requestRecord(
        { ...options, keyMode: keyModeOf(set, options) },
        leaf,
        { files: signedFiles, keyType: key.type, seal, issued: now, serverCa },
        home,
      ),
  };
  const changed: Member[] = ["certificate"];
  if (!kept) changed.push("key");
  if (files.ca !== set.ca) changed.push("ca");
  place.replace(files, attributesOf(set, options), options.keepsPending === true ? changed : []);
  tellNarrowed(set, options);
  return {
    outcome: "issued",
    certificate: leaf,
    dueAt: dueAt(leaf, options.halfOfShortLife),
    reasons,
    keyType: key.type,
    keyKept: kept,
    isPending: options.keepsPending === true || set.isPending === true,
  };
}

/** Whoever read the key by its group finds out by this, and not by a service that fails. */
function tellNarrowed(set: StoredSet, options: IssueOptions): void {
  const [before = 0, after = defaultKeyMode] = [set.attributes?.key?.mode, keyModeOf(set, options)];
  if ((before & ~after & groupReads) === 0) return;
  options.onNote?.(
    `the mode of ${printable(certificatePaths(options.destination).key)} was ${keyModeText(before)} and is ` +
      `${keyModeText(after)} now: its group can't read it any more, unless mode 0640 is asked for ` +
      "(--key-mode, key_mode in a manifest)",
  );
}

function tellLongName({ names: { commonName }, onNote }: IssueOptions): void {
  if (commonName.length <= longestCommonName) return;
  onNote?.(
    `the common name ${printable(commonName)} has ${commonName.length} characters: RFC 5280 allows ${longestCommonName}, ` +
      "and a program that keeps to that may refuse the certificate",
  );
}

type Signed = CheckedCertificate & { readonly now: Clocks };

/** Has the key signed. Gives which CA the server named before it signed, too; undefined where that can't be told. */
async function signAndAsk(
  key: PrivateKey,
  set: StoredSet,
  options: IssueOptions,
  named: ServerCa | Failure | undefined,
): Promise<{ readonly signed: Signed; readonly serverCa: string | undefined }> {
  const signed = await sign(key, options);
  if (named !== undefined) return { signed, serverCa: serverCaId(named) };
  const before = recordOf(set)?.serverCa;
  // The same CA has signed as before, so the server's answer from before that one is true of this one.
  if (before !== undefined && set.ca === caFileOf(signed.authorities, options))
    return { signed, serverCa: before };
  const answer = await askServerCa(() => readChain(options));
  const serverCa = serverCaId(answer);
  const isExpected = !(answer instanceof Failure) && isSameCertificate(signed.authorities[0], answer[0]);
  if (serverCa === undefined || isExpected) return { signed, serverCa };
  try {
    // The server may have got another CA after it had signed. What is kept must be from before: so it signs again.
    return { signed: await sign(key, options), serverCa };
  } catch (error) {
    if (error instanceof Failure) return { signed, serverCa: undefined };
    throw error;
  }
}

function caFileOf(authorities: ServerCa, { caChain }: IssueOptions): string {
  return join(caChain ? authorities : [authorities[0]]);
}

async function sign(key: PrivateKey, { client, names, signPath }: IssueOptions): Promise<Signed> {
  const { createCsr } = await import("../x509/csr.ts");
  const csr = createCsr(key, names);
  const signed = await signCsr(client, signPath, { csr, ...names }).catch(async (error) => {
    throw await explainRefusal(client, signPath, error);
  });
  const now = readClocks(client);
  return { ...checkSigned(signed, key, names, now), now };
}

async function readChain({ client, signPath, readChain }: IssueOptions): Promise<readonly string[]> {
  const issuer = issuerOfSignPath(signPath);
  return await (readChain?.(issuer) ?? readIssuerChain(client, issuer));
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

/**
 * Refuses to have a key signed that somebody else may have put there.
 *
 * @throws Failure (data)
 */
export function refuseForeignKey(
  set: StoredSet,
  { destination, owner }: Pick<IssueOptions, "destination" | "owner">,
): void {
  const fault = foreignKey(set, owner);
  if (fault === undefined) return;
  const { key } = certificatePaths(destination);
  throw new Failure("data", `${printable(key)} is not used: ${fault}`, {
    hint:
      "nothing was changed; look at how it came there, and give its user as the owner if that is right, " +
      "or have a new key made: remove it, or use --force in a direct call",
  });
}

async function readStandingKey(pem: string, path: string): Promise<PrivateKey> {
  try {
    return await readKey(pem, path);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw new Failure("data", error.message, {
      hint:
        error.hint ??
        "it is left as it is; remove it, or use --force in a direct call, to have a new one made",
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
