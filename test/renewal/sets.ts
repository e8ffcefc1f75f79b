import type { KeyOrigin } from "../../lib/host/foreign-key.ts";
import type { Asked } from "../../lib/renewal/decide.ts";
import type { Inspected, Whole } from "../../lib/renewal/inspect.ts";
import type { RequestRecord } from "../../lib/renewal/request.ts";
import type { Clocks } from "../../lib/vault/clocks.ts";
import type { Certificate } from "../../lib/x509/certificate.ts";

// What decide() is given, without a disk, a server or a real certificate.

export const dayMs = 86_400_000;
/** A Sunday at midnight in the time zone of the tests, as windows count. */
export const begin = new Date(2026, 10, 1).getTime();
export const at = (days: number): Date => new Date(begin + days * dayMs);
export const clocksAt = (host: number, server = host): Clocks => ({ host: at(host), server: at(server) });

const names = { commonName: "it", organisations: [], dnsNames: [], ipAddresses: [] };

const request = { signPath: "demo/pki/k8s/sign/kubelet", names, caChain: false };

export const asked: Asked = request;

/** A key that only root can have put there. */
export const ourKey: KeyOrigin = {
  ...{ uid: 0, isWide: false, isShared: false, isInSet: true, isLinked: false },
  ...{ folderUid: 0, isOurFolder: true, isSteadyFolder: true },
  home: { path: "/etc/ssl/it", folder: "1:2" },
};

export interface SetChoice {
  readonly lifetimeDays?: number;
  readonly issued?: Clocks | undefined;
  readonly checkedAt?: Date | undefined;
  readonly keyMatches?: boolean;
  readonly caMatches?: boolean;
  readonly keyOrigin?: KeyOrigin | undefined;
  readonly record?: Partial<RequestRecord>;
  readonly attributes?: Whole["attributes"];
  readonly keyMode?: number | undefined;
}

/** A set of which nothing is wrong, unless it is chosen so. Its certificate begins at `begin`. */
export function wholeSet(choice: SetChoice = {}): Whole {
  const { lifetimeDays = 30, issued, checkedAt = at(0), keyMatches = true, caMatches = true } = choice;
  const record: RequestRecord = { ...request, certificate: "AB:CD", issued, ...choice.record };
  const times = { notBefore: at(0), notAfter: at(lifetimeDays) };
  return {
    state: "whole",
    // The rest of it is never looked at for a set with a record.
    certificate: { ...times, commonName: "it" } as unknown as Certificate,
    keyType: { type: "ec", bits: 256 },
    keyMatches,
    caMatches,
    issuedFor: record,
    record,
    placement: { home: undefined, keyMode: choice.keyMode, owner: undefined },
    attributes: choice.attributes ?? {},
    keyOrigin: "keyOrigin" in choice ? choice.keyOrigin : ourKey,
    checkedAt,
    isPending: false,
    isClosed: false,
  };
}

export const missing: Inspected = { state: "missing" };

export function partialSet(reason: string): Inspected {
  const { record, placement, attributes, keyOrigin, checkedAt, isPending, isClosed } = wholeSet();
  return {
    ...{ state: "partial", reason, record, placement, attributes },
    ...{ keyOrigin, checkedAt, isPending, isClosed },
  };
}
