import type { SeenSet } from "../host/certificate-set.ts";
import type { VaultClient } from "../vault/client.ts";
import type { CertificateRequest, Placement } from "./request.ts";
import type { CaReader } from "./server-ca.ts";
import type { RenewalPolicy } from "./when-due.ts";

/** A certificate to keep, and the rule by which it is renewed. */
export interface Renewal extends CertificateRequest, Placement {
  readonly policy: RenewalPolicy;
}

/** What a run provides for it. */
export interface RenewalRun {
  /** With a token that may use the sign path. */
  readonly client: VaultClient;
  /** Ends the waiting for another run. */
  readonly signal: AbortSignal;
  readonly onNote?: ((sentence: string) => void) | undefined;
  /** Takes a note on wrong clocks. @default `onNote` */
  readonly onClockNote?: ((sentence: string) => void) | undefined;
  /** What was just seen at the destination. @default examines it */
  readonly seen?: SeenSet | undefined;
  /** What all certificates of the run ask with. @default one of its own */
  readonly caReader?: (() => Promise<CaReader>) | undefined;
  /** Records on disk, before the change, that somebody has to act on it: see `takePending`. */
  readonly keepsPending?: boolean;
}

/** One certificate in one run. */
export type RenewalJob = Renewal & RenewalRun & { readonly caReader: () => Promise<CaReader> };
