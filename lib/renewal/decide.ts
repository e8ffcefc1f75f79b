import { attributeFaults } from "../host/certificate-write.ts";
import { type ForeignKey, findForeignKey } from "../host/foreign-key.ts";
import { defaultKeyMode, keyModeText } from "../host/key-mode.ts";
import { type Clocks, laterClocks, untilMs } from "../vault/clocks.ts";
import type { Certificate } from "../x509/certificate.ts";
import { isSameKeyType, keyTypeName } from "../x509/key-type.ts";
import { isSameNames, type Names } from "../x509/names.ts";
import type { Facts, Inspected, Whole } from "./inspect.ts";
import type { CertificateRequest, Placement } from "./request.ts";
import type { CaOnServer } from "./server-ca.ts";
import { correctedClocks, correctionsAfter, type Times, validityOf } from "./validity.ts";
import {
  dueAt,
  dueReason,
  isCaCheckDue,
  makesNewKey,
  nextCaCheck,
  type RenewalPolicy,
  urgentAt,
  waitsUntil,
} from "./when-due.ts";

/** The request for a destination, with the owner and the key's mode. */
export type Asked = CertificateRequest & Pick<Placement, "owner" | "keyMode">;

/** What to do about a destination. */
export type Decision =
  /** The existing key must not be signed: another user may know it. */
  | { readonly action: "refuse"; readonly foreign: ForeignKey }
  | { readonly action: "issue"; readonly reasons: readonly string[] }
  /** A certificate that is due waits for its window. */
  | (Standing & { readonly action: "wait"; readonly until: Date })
  /** It is time to ask the server for its CAs, and to decide again with the answer. */
  | (Standing & { readonly action: "check CA" })
  /** The server's CAs have changed: what the files hold of them is replaced, and the certificate stays. */
  | (Standing & { readonly action: "refresh CA" })
  /** @property caCheckAt a CA check is due, and waits for the window that opens then */
  | (Standing & { readonly action: "none"; readonly caCheckAt?: Date | undefined });

/** A certificate that stays for now. */
interface Standing {
  readonly certificate: Certificate;
  readonly dueAt: Date;
  readonly reasons: readonly string[];
  /** `fix`: an owner or a mode is wrong. `rewrite`: the request gives the key another mode than the record. */
  readonly files: "right" | "fix" | "rewrite";
}

/** Why the server's CAs make files due. */
export const caReasons: Readonly<Partial<Record<CaOnServer, string>>> = {
  other: "the server no longer has the CA that signed it",
  renewed: "the server's CAs have changed",
};

/**
 * What a run does about a destination. Pure: it asks no clock, no disk and no server.
 *
 * @param clocks what they show now
 * @param ca the files compared with the server's CAs; undefined if the server was not asked
 */
export function decide(
  inspected: Inspected,
  asked: Asked,
  policy: RenewalPolicy,
  clocks: Clocks,
  ca?: CaOnServer,
): Decision {
  const foreign = makesNewKey(policy) ? undefined : foreignKey(inspected, asked);
  if (foreign !== undefined) return { action: "refuse", foreign };
  if (policy.renew === "now") return { action: "issue", reasons: [] };
  const {
    reasons,
    isUsable,
    certificate,
    clocks: corrected = clocks,
  } = assess(inspected, asked, policy, clocks);
  if (certificate === undefined) return { action: "issue", reasons };
  const standing: Standing = {
    certificate,
    dueAt: dueAt(certificate, policy),
    reasons,
    files: filesOf(inspected, asked),
  };
  // To find the next opening takes thousands of steps, so it is searched for only if something waits for it.
  const opening = () => waitsUntil(policy, certificate, clocks.host, corrected);
  if (policy.renew === "always" || reasons.length > 0) {
    const until = isUsable ? opening() : undefined;
    return until === undefined ? { action: "issue", reasons } : { action: "wait", until, ...standing };
  }
  const checkedAt = inspected.state === "whole" ? inspected.checkedAt : undefined;
  if (!isCaCheckDue(policy, checkedAt, clocks.host)) return { action: "none", ...standing };
  const opensAt = opening();
  if (opensAt !== undefined) return { action: "none", caCheckAt: opensAt, ...standing };
  if (ca === undefined) return { action: "check CA", ...standing };
  // A CA check may lead to a new certificate, so it waits for the window as well.
  if (ca === "other") return { action: "issue", reasons: [caReasons.other ?? ""] };
  return { action: ca === "renewed" ? "refresh CA" : "none", ...standing };
}

/** The key at a destination, if it must not be used: another user may know it. */
export function foreignKey(
  found: Inspected | Facts,
  { owner }: Pick<Placement, "owner">,
): ForeignKey | undefined {
  if (!("placement" in found)) return undefined;
  const { keyOrigin, placement } = found;
  return keyOrigin && findForeignKey(keyOrigin, owner, placement.home);
}

/** The mode that a key should have: a call without a mode keeps the recorded one. */
export function keyModeOf(inspected: Inspected, { keyMode }: Pick<Placement, "keyMode">): number | undefined {
  const recorded = "placement" in inspected ? inspected.placement.keyMode : undefined;
  return keyMode ?? recorded;
}

function filesOf(inspected: Inspected, asked: Asked): Standing["files"] {
  if (!("placement" in inspected)) return "right";
  const { keyOrigin, placement } = inspected;
  const { keyMode } = asked;
  const isOtherMode = keyMode !== undefined && keyMode !== (placement.keyMode ?? defaultKeyMode);
  // The key is written again, tied to its destination, before its group can read it.
  if (keyOrigin !== undefined && isOtherMode) return "rewrite";
  return fileFaults(inspected, asked).length > 0 ? "fix" : "right";
}

/** What is wrong with the files' owners and modes, each in a few words. Every run fixes it. */
export function fileFaults(
  inspected: Inspected,
  asked: Pick<Placement, "owner" | "keyMode">,
): readonly string[] {
  if (!("placement" in inspected)) return [];
  const { owner } = asked;
  const faults = attributeFaults(inspected, { owner, keyMode: keyModeOf(inspected, asked) });
  const modes = faults
    .filter(({ mode, wanted }) => (mode & 0o7777) !== wanted)
    .map(({ member, mode, wanted }) =>
      member === "key" && (mode & 0o077 & ~wanted) !== 0
        ? "others may read its key"
        : `${fileWords[member]} mode is ${keyModeText(mode)}, not ${keyModeText(wanted)}`,
    );
  return [
    ...modes,
    inspected.isClosed ? ["nobody but root can read it: its own folder is closed"] : [],
    faults.some(({ isForeign }) => isForeign) ? ["its files do not belong to their owner"] : [],
  ].flat();
}

const fileWords = { key: "its key's", certificate: "its certificate's", ca: "its CA file's" } as const;

/** The state of a certificate, apart from the server's CAs. */
export interface Assessment {
  /** Why it is due, each in a few words; none if it is not. */
  readonly reasons: readonly string[];
  /** It can still be used: it fits its key and its CA, and has not expired. */
  readonly isUsable: boolean;
  /** Undefined if it can't be read. */
  readonly certificate?: Certificate | undefined;
  /** Corrected: see `correctedClocks`. */
  readonly clocks?: Clocks;
}

/** Compares a destination with its request, and says how long its certificate lasts. */
export function assess(
  inspected: Inspected,
  asked: CertificateRequest,
  policy: RenewalPolicy,
  now: Clocks,
): Assessment {
  switch (inspected.state) {
    case "missing":
      return { reasons: ["there is none yet"], isUsable: false };
    case "partial":
      return { reasons: [inspected.reason], isUsable: false };
    case "hidden": {
      const { certificate } = inspected;
      if (certificate === undefined) return { reasons: [], isUsable: true };
      const { isValid, reasons, clocks } = ageOf(certificate, policy, now);
      return { reasons, isUsable: isValid, certificate, clocks };
    }
    case "whole":
      return assessWhole(inspected, asked, policy, now);
  }
}

function assessWhole(
  whole: Whole,
  asked: CertificateRequest,
  policy: RenewalPolicy,
  now: Clocks,
): Assessment {
  const { certificate, keyType, issuedFor } = whole;
  const age = ageOf(certificate, policy, now, issuedFor?.issued);
  const broken = [
    whole.keyMatches ? [] : ["the key belongs to another certificate"],
    whole.caMatches ? [] : ["the CA file's CA did not sign it"],
    age.isValid ? [] : age.reasons,
  ].flat();
  const reasons = [
    broken,
    asked.keyType === undefined || isSameKeyType(keyType, asked.keyType)
      ? []
      : [`the key is ${keyTypeName(keyType)}, not ${keyTypeName(asked.keyType)}`],
    requestReasons(whole, asked),
    broken.length === 0 ? age.reasons : [],
  ].flat();
  return { reasons, isUsable: broken.length === 0, certificate, clocks: age.clocks };
}

/** A certificate's state by its times alone. */
interface Age {
  /** By either clock. */
  readonly isValid: boolean;
  /** Why it is due for its age: at most one reason. */
  readonly reasons: readonly string[];
  /** Corrected: see `correctedClocks`. */
  readonly clocks: Clocks;
}

/**
 * A certificate by its times alone: due if either clock says so, and valid if either says so.
 *
 * @param issued what the clocks showed when it was issued
 */
export function ageOf(certificate: Times, policy: RenewalPolicy, now: Clocks, issued?: Clocks): Age {
  const due = dueAt(certificate, policy);
  const clocks = correctedClocks({ notBefore: certificate.notBefore, dueAt: due }, issued, now);
  const validity = validityOf(certificate, clocks);
  if (validity !== "valid") {
    const words = {
      ended: "it has expired",
      "not yet": "it is not valid yet",
      neither: "it is valid by no clock",
    };
    return { isValid: false, reasons: [words[validity]], clocks };
  }
  const isPast = (moment: Date) => untilMs(clocks, moment) <= 0;
  if (isPast(certificate.notAfter)) {
    const whose = clocks.host >= certificate.notAfter ? "this host's clock" : "the server's clock";
    return { isValid: true, reasons: [`it has expired by ${whose}`], clocks };
  }
  return { isValid: true, reasons: isPast(due) ? [dueReason(certificate, policy)] : [], clocks };
}

/**
 * The differences between this request and the recorded one. Without a record (plain files of the Go tool) the request
 * is compared with the certificate itself. With a record it is not: a role may leave out a part of the request, such as
 * an organisation, and each run would then issue a new certificate.
 */
function requestReasons({ certificate, issuedFor }: Whole, asked: CertificateRequest): string[] {
  const otherNames = "the names are not those asked for";
  if (issuedFor === undefined) {
    const isSame = isSameNames(namesOf(certificate, asked), asked.names, certificate.commonName);
    return isSame ? [] : [otherNames];
  }
  const cas = asked.caChain ? "also the CAs above the mount's" : "the mount's CAs alone";
  return [
    issuedFor.signPath === asked.signPath ? [] : [`it came from ${issuedFor.signPath}`],
    isSameNames(issuedFor.names, asked.names) ? [] : [otherNames],
    issuedFor.caChain === asked.caChain ? [] : [`the CA file is to hold ${cas}`],
  ].flat();
}

/** An organisation that nobody asked for comes from the role. */
function namesOf(certificate: Certificate, asked: CertificateRequest): Names {
  const { commonName, organisations, dnsNames, ipAddresses } = certificate;
  const theirs = asked.names.organisations.length === 0 ? [] : organisations;
  return { commonName, organisations: theirs, dnsNames, ipAddresses };
}

/** Whether a run changes files then. */
export function isChange({ action }: Decision): boolean {
  return action === "issue" || action === "refresh CA";
}

/**
 * When a run will replace the certificate or its CA file, by this host's clock, if nothing else changes until then. It
 * has no rule of its own. It decides at each moment when the decision can change, and returns the first at which files
 * change.
 *
 * @param ca the files compared with the server's CAs, as they are now
 * @returns undefined for never
 */
export function nextChange(
  inspected: Inspected,
  asked: Asked,
  policy: RenewalPolicy,
  now: Clocks,
  ca?: CaOnServer,
): Date | undefined {
  const moments = turningPoints(inspected, policy, now);
  const start = now.host.getTime();
  for (let i = 0; i < moments.length; i++) {
    moments.sort((a, b) => a - b);
    const ms = moments[i] ?? start;
    if (ms < start) continue;
    const decision = decide(inspected, asked, policy, laterClocks(now, ms - start), ca);
    if (isChange(decision)) return new Date(ms);
    const opensAt =
      decision.action === "wait" ? decision.until : "caCheckAt" in decision && decision.caCheckAt;
    if (opensAt && !moments.includes(opensAt.getTime())) moments.push(opensAt.getTime());
  }
  return undefined;
}

/** By the host's clock, in milliseconds: now, when a certificate becomes due or urgent, and when a CA check is due. */
function turningPoints(inspected: Inspected, policy: RenewalPolicy, now: Clocks): number[] {
  const start = now.host.getTime();
  if (inspected.state !== "whole" && inspected.state !== "hidden") return [start];
  const { certificate } = inspected;
  if (certificate === undefined) return [start];
  const issued = inspected.state === "whole" ? inspected.issuedFor?.issued : undefined;
  const due = dueAt(certificate, policy);
  // From the moment when a clock is known to be ahead, it counts with another time.
  const shifts = [0, ...correctionsAfter(due, issued, now)];
  const byAge = shifts.flatMap((shift) => {
    const then = laterClocks(now, shift);
    const { clocks } = ageOf(certificate, policy, then, issued);
    const ends = [due, urgentAt(certificate), certificate.notAfter];
    return [shift, ...ends.map((moment) => shift + untilMs(clocks, moment))].map((ms) => start + ms);
  });
  const checkedAt = inspected.state === "whole" ? inspected.checkedAt : undefined;
  // A last check in the future makes a check due now, until that time comes.
  const checks = [now.host, checkedAt].flatMap((at) => (at && nextCaCheck(policy, checkedAt, at)) ?? []);
  return [...byAge, ...checks.map((check) => check.getTime()).filter(Number.isFinite)];
}
