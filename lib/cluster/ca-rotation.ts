import { isDeepStrictEqual } from "node:util";
import { formatDay } from "../duration.ts";
import type { Fields } from "../vault/shape.ts";
import { isSelfSigned } from "../x509/certificate.ts";
import {
  casBefore,
  freeName,
  hasSigned,
  type Issuer,
  isCrossIn,
  type MountCa,
  type MountCas,
  nextName,
  renewalName,
} from "./mount-cas.ts";

// The steps that are left of a rotation, by the issuers that a mount holds. Pure: it asks no clock and no server. A run
// takes the first step, reads the mount again, and goes on until no step is left. So the next run continues a stopped one.

/** One change to a mount's issuers. */
export type RotationStep =
  /** The server no longer makes each new issuer the default. */
  | { readonly do: "keep default"; readonly issuer: Issuer }
  /** A new certificate for the key that signs. */
  | { readonly do: "renew"; readonly name: string; readonly ca: MountCa }
  /** A new CA with a new key. */
  | { readonly do: "add"; readonly name: string }
  /** A cross certificate: one CA's key, signed by another CA. */
  | { readonly do: "certify"; readonly name: string; readonly ca: MountCa | undefined; readonly by: MountCa }
  /** A cross certificate gets its name, and may sign nothing. */
  | { readonly do: "restrict"; readonly issuer: Issuer; readonly name: string }
  /** A stopped run has left the chain of a CA shortened: see `certify` in rotate-ca.ts. */
  | { readonly do: "restore chain"; readonly issuer: Issuer; readonly name: string }
  /** A new issuer gets what an admin has set for the one before, such as the places of CRLs. */
  | {
      readonly do: "configure";
      readonly name: string;
      readonly issuer: Issuer | undefined;
      readonly settings: Fields;
    }
  | { readonly do: "make default"; readonly name: string; readonly issuer: Issuer | undefined };

/** How much longer a CA's new certificate has to last: a run that follows another one changes nothing. */
const leastGainMs = 86_400_000;
/** The part of a CA's validity that counts instead, if that is shorter. */
const leastGainPart = 1 / 10;

/**
 * Gives the CA that signs a new certificate for the same key. Nothing is left to do if its certificate lasts as long as
 * a new one would.
 *
 * @param now by the server's clock
 * @param validitySeconds of the new certificate
 */
export function renewSteps(mount: MountCas, now: Date, validitySeconds: number): readonly RotationStep[] {
  const { signing, default: current } = mount;
  // Readers know a CA by its name. An admin may have given the key another one.
  const latest = signing?.roots.find(({ x509 }) => x509.subject === current?.x509.subject);
  if (signing === undefined || current === undefined || latest === undefined) return [];
  const validityMs = validitySeconds * 1000;
  const gainMs = now.getTime() + validityMs - latest.notAfter.getTime();
  const keep = keepDefault(mount, current);
  if (gainMs > Math.min(leastGainMs, validityMs * leastGainPart)) {
    const name = renewalName(mount, signing);
    return [
      ...keep,
      { do: "renew", name, ca: signing },
      ...configureSteps(current, name, undefined),
      { do: "make default", name, issuer: undefined },
    ];
  }
  if (latest.isDefault) return [];
  const name = latest.name || latest.id;
  return [...keep, ...configureSteps(current, name, latest), { do: "make default", name, issuer: latest }];
}

/** The name of a CA that a rotation has made. */
const successorName = /^g(?!1$)\d+$/;

/** A new CA is not followed by another one that soon, so that a repeated command makes none by accident. */
const freshMs = 86_400_000;

/**
 * The name of the CA that a rotation to a new key is about: one that another run has begun, or a new one.
 *
 * @param again makes a new one even if the CA that signs was made less than a day ago
 * @returns undefined if the rotation is done
 */
export function rotationTarget(mount: MountCas, now: Date, again: boolean): string | undefined {
  const { signing } = mount;
  if (signing === undefined) return undefined;
  const begun = begunCa(mount);
  if (begun !== undefined) return begun.name;
  const before = previousOf(mount, signing, now);
  if (before !== undefined && crossSteps(mount, signing.name, signing, before).length > 0)
    return signing.name;
  // The CA before may be gone already, by --force.
  const isSuccessor = casBefore(mount).length > 0 || successorName.test(signing.name);
  const isFresh = isSuccessor && now.getTime() - signing.madeAt.getTime() < freshMs;
  return isFresh && !again ? undefined : nextName(mount);
}

/** The CA that a rotation has made and that does not sign yet; undefined if no rotation was stopped half-way. */
export function begunCa(mount: Pick<MountCas, "cas" | "signing">): MountCa | undefined {
  if (mount.signing === undefined) return undefined;
  // Somebody may have imported another CA for a purpose of their own, or made it the default in the place of the first.
  const isRotated = ({ roots }: MountCa) => roots.some(({ name }) => successorName.test(name));
  return mount.cas.slice(casBefore(mount).length + 1).findLast(isRotated);
}

/**
 * Makes a new CA, certifies its key with the CA before it, and makes it the default. In this order no reader is cut off:
 * certificates of the new CA come with the cross certificate from the first one on.
 *
 * @param target as `rotationTarget` names it
 */
export function newKeySteps(mount: MountCas, now: Date, target: string): readonly RotationStep[] {
  const { signing, default: current, cas } = mount;
  if (signing === undefined || current === undefined) return [];
  const ca = cas.find(({ name }) => name === target);
  const by = ca?.keyId === signing.keyId ? previousOf(mount, ca, now) : signing;
  const steps: RotationStep[] = [...keepDefault(mount, current), ...restoredChains(mount)];
  if (ca === undefined) steps.push({ do: "add", name: target });
  const crosses = by === undefined ? [] : crossSteps(mount, target, ca, by);
  const [root] = ca?.roots ?? [];
  const isDefault = current.keyId === ca?.keyId && (root === undefined || isSelfSigned(current));
  const defaults: readonly RotationStep[] = isDefault
    ? []
    : [...configureSteps(current, target, root), { do: "make default", name: target, issuer: root }];
  // A cross certificate that is the default signs until another issuer does.
  const isCrossDefault = crosses.some((step) => step.do === "restrict" && step.issuer.isDefault);
  steps.push(...(isCrossDefault ? [...defaults, ...crosses] : [...crosses, ...defaults]));
  return steps.length === 1 && steps[0]?.do === "keep default" ? [] : steps;
}

function keepDefault({ followsLatest }: MountCas, issuer: Issuer): readonly RotationStep[] {
  return followsLatest ? [{ do: "keep default", issuer }] : [];
}

/** What the server gives a new issuer. */
const newSettings: Fields = {
  leaf_not_after_behavior: "err",
  issuing_certificates: [],
  crl_distribution_points: [],
  delta_crl_distribution_points: [],
  ocsp_servers: [],
  enable_aia_url_templating: false,
};

/** @param issuer the one that comes after; undefined if it is not made yet */
function configureSteps(before: Issuer, name: string, issuer: Issuer | undefined): readonly RotationStep[] {
  const has = issuer?.settings ?? newSettings;
  const changed = Object.entries(before.settings).filter(
    ([field, value]) => !isDeepStrictEqual(value ?? newSettings[field], has[field] ?? newSettings[field]),
  );
  if (changed.length === 0) return [];
  return [{ do: "configure", name, issuer, settings: Object.fromEntries(changed) }];
}

/** What a CA's key still needs to be certified by the CA before it. */
function crossSteps(
  mount: MountCas,
  target: string,
  ca: MountCa | undefined,
  by: MountCa,
): readonly RotationStep[] {
  const name = `${target}-by-${by.name}`;
  const cross = ca?.others.find((it) => hasSigned(by, it));
  if (cross === undefined) return [{ do: "certify", name: freeName(mount, name), ca, by }];
  if (cross.name !== "" && !cross.mayIssue) return [];
  return [{ do: "restrict", issuer: cross, name: cross.name || freeName(mount, name) }];
}

function restoredChains({ cas }: MountCas): readonly RotationStep[] {
  return cas.flatMap(({ name, roots, others }) =>
    roots
      .filter(({ id, manualChain }) => others.length > 0 && manualChain.length === 1 && manualChain[0] === id)
      .map((issuer): RotationStep => ({ do: "restore chain", issuer, name })),
  );
}

/** The CA that was made before another one, and can still sign a cross certificate. */
function previousOf({ cas }: MountCas, ca: MountCa, now: Date): MountCa | undefined {
  return casBefore({ cas, signing: ca }).findLast(({ roots }) =>
    roots.some((it) => it.notAfter > now && it.mayIssue),
  );
}

/** Days for which an older CA stays after the next one was made. Every host has checked the CAs once by then. */
const overlapMs = 8 * 86_400_000;

/** An older CA, and the day from which it may go, as far as its certificates allow it. */
export interface OlderCa {
  readonly ca: MountCa;
  /** The CA that was made after it. */
  readonly next: MountCa;
  /** Eight days after the next CA was made. */
  readonly overlapEndsAt: Date;
}

/** The CAs of a mount that no longer sign, the oldest first. */
export function olderCas(mount: MountCas): readonly OlderCa[] {
  return casBefore(mount).flatMap((ca, index): OlderCa[] => {
    const next = mount.cas[index + 1];
    if (next === undefined) return [];
    return [{ ca, next, overlapEndsAt: new Date(next.madeAt.getTime() + overlapMs) }];
  });
}

/**
 * The issuers that nobody needs any more: certificates that a later one of the same key and subject replaces, and cross
 * certificates that have expired.
 *
 * @param now by the server's clock
 */
export function leftovers(mount: MountCas, now: Date): readonly Issuer[] {
  const { cas, issuers } = mount;
  const replaces = (later: Issuer, it: Issuer) =>
    later.notBefore <= now && later.x509.subject === it.x509.subject;
  const replaced = cas.flatMap(({ roots }) =>
    roots.filter((it, index) => !it.isDefault && roots.slice(0, index).some((later) => replaces(later, it))),
  );
  const expired = issuers.filter((it) => it.notAfter <= now && !it.isDefault && isCrossIn(mount, it));
  return [...replaced, ...expired];
}

/** The cross certificates that a CA has signed for others. */
export function crossesBy(mount: MountCas, ca: MountCa): readonly Issuer[] {
  return mount.issuers.filter((it) => it.keyId !== ca.keyId && isCrossIn(mount, it) && hasSigned(ca, it));
}

/** A step as a line for people. */
export function stepText(step: RotationStep): string {
  switch (step.do) {
    case "keep default":
      return "turn default_follows_latest_issuer off";
    case "renew":
      return `add issuer ${step.name}: a new certificate for the key of ${step.ca.name}`;
    case "add":
      return `add issuer ${step.name}: a new CA with a new key`;
    case "certify":
      return `add issuer ${step.name}: a cross certificate, signed by ${step.by.name} until ${endOf(step.by)}`;
    case "restrict":
      return `keep issuer ${step.name} from signing`;
    case "restore chain":
      return `let the server find the chain of ${step.name} again`;
    case "configure":
      return `set ${Object.keys(step.settings).join(", ")} of issuer ${step.name} as before`;
    case "make default":
      return `make issuer ${step.name} the default`;
  }
}

function endOf({ roots: [root] }: MountCa): string {
  return root === undefined ? "its end" : formatDay(root.notAfter);
}
