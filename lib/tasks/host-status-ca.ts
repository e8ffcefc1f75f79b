import type { Manifest } from "../manifest/manifest.ts";
import { isOpen, nextOpening } from "../manifest/window.ts";
import { type Clocks, nextCaLook, type Times, untilMs } from "./clock.ts";
import { dueAt, otherCa, urgentAt } from "./due.ts";
import type { CaOnServer } from "./server-ca.ts";

/** Why a certificate is due. */
export const caReason: Readonly<Partial<Record<CaOnServer, string>>> = {
  other: otherCa,
  renewed: "the server's CA has a new certificate",
};

/**
 * When a run replaces a certificate, by this host's clock: from its time on, or from when it looks at the server's CA
 * again where that is another; then in the first window, or when less than a tenth of its life is left by either clock.
 *
 * @param isDue for what stands, its CA aside
 * @param clocks as far as they can be right about the certificate
 * @param now by this host's clock
 */
export function replacementTime(
  { windows, renew }: Manifest,
  certificate: Times,
  {
    isDue,
    ca,
    checkedAt,
    clocks,
  }: { isDue: boolean; ca: CaOnServer; checkedAt: Date | undefined; clocks: Clocks },
  now: Date,
): Date {
  const at = (moment: Date) => new Date(now.getTime() + untilMs(clocks, moment));
  const look =
    caReason[ca] !== undefined && checkedAt !== undefined ? nextCaLook(checkedAt, now).getTime() : Infinity;
  const wanted =
    isDue || renew === "always" ? now : new Date(Math.min(at(dueAt(certificate, true)).getTime(), look));
  const from = later(now, wanted);
  if (isOpen(windows, from)) return from;
  const last = at(urgentAt(certificate));
  const opening = nextOpening(windows, from);
  return opening < last ? opening : later(from, last);
}

function later(a: Date, b: Date): Date {
  return a > b ? a : b;
}
