import { dirname } from "node:path";
import { formatDuration } from "../duration.ts";
import { Failure } from "../failure.ts";
import { lookAtSet } from "../host/certificate-look.ts";
import type { StoredSet } from "../host/certificate-set.ts";
import { keepFoldersOpen } from "../host/folder.ts";
import { roomFor } from "../host/open-files.ts";
import type { Manifest } from "../manifest/manifest.ts";
import { isOpen, nextOpening } from "../manifest/window.ts";
import type { VaultClient } from "../vault/client.ts";
import { gate } from "../vault/gate.ts";
import { readIssuerChain } from "../vault/pki.ts";
import type { Certificate } from "../x509/certificate.ts";
import { type Clocks, learnServerTime, readClocks, untilMs } from "./clock.ts";
import { dueAt, lifeMs, standing, urgentAt } from "./due.ts";
import {
  type CaLook,
  type Issued,
  type IssueOptions,
  issueCertificate,
  refuseForeignKey,
} from "./issue-certificate.ts";
import { withUnitHint } from "./own-unit.ts";

/** What came of one manifest: each stands alone, and one that fails leaves the others done. */
export type Outcome =
  | { readonly manifest: Manifest; readonly issued: Issued }
  | { readonly manifest: Manifest; readonly failure: Failure };

/** What stands at a manifest's destination, or why that can't be told. */
export type Found = StoredSet | Failure;

/** Looks at all destinations, each folder of theirs opened once. */
export function lookAt(manifests: readonly Manifest[]): ReadonlyMap<Manifest, Found> {
  using folders = keepFoldersOpen();
  return new Map(
    manifests.map((manifest): [Manifest, Found] => {
      try {
        return [manifest, lookAtSet(manifest.destination, folders)];
      } catch (error) {
        return [manifest, toFailure(error)];
      }
    }),
  );
}

export interface RunOptions {
  /** With the host's token. */
  readonly client: VaultClient;
  /** What a look has found just now. */
  readonly found: ReadonlyMap<Manifest, Found>;
  /** When it is looked at whether the server has another CA by now, of those that are not due. @default "weekly" */
  readonly caLook?: CaLook;
  readonly signal: AbortSignal;
  readonly onNote: (manifest: Manifest, sentence: string) => void;
}

/** What is open for one that is issued: its folders, its lock, and a file that is written. */
const filesOfCertificate = 8;

/** Issues what is due of all manifests, at the same time as far as files may be open, and over the same connections. */
export async function issueManifests(
  manifests: readonly Manifest[],
  options: RunOptions,
): Promise<readonly Outcome[]> {
  if (manifests.length === 0) return [];
  // Once, and not for each.
  const clock = learnServerTime(options.client);
  const readChain = chainReader(options.client);
  const enter = gate(roomFor(filesOfCertificate));
  return await Promise.all(
    manifests.map(async (manifest): Promise<Outcome> => {
      try {
        using _ = await enter();
        await clock;
        const found = options.found.get(manifest);
        if (found instanceof Failure) throw found;
        const issued = await issueCertificate({ ...issueOptions(manifest, options), found, readChain });
        tellShortLife(manifest, issued.certificate, options);
        return { manifest, issued };
      } catch (error) {
        return { manifest, failure: withUnitHint(toFailure(error), dirname(manifest.destination)) };
      }
    }),
  );
}

/** A fault of ours stops one certificate, too, and not the others in the middle. */
function toFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const what = error instanceof Error ? error.message : String(error);
  return new Failure("internal", `a fault in this tool: ${what}`, { cause: error });
}

/** Asks once for each issuer, however many certificates come from it. */
function chainReader(client: VaultClient): (issuer: string) => Promise<readonly string[]> {
  const chains = new Map<string, Promise<readonly string[]>>();
  return (issuer) => {
    const chain = chains.get(issuer) ?? readIssuerChain(client, issuer);
    chains.set(issuer, chain);
    return chain;
  };
}

function issueOptions(
  manifest: Manifest,
  { client, caLook = "weekly", signal, onNote }: RunOptions,
): IssueOptions {
  return {
    ...manifest,
    client,
    signal,
    ifDue: manifest.renew === "due",
    force: false,
    halfOfShortLife: true,
    caLook,
    keepsPending: manifest.hooks.length > 0,
    ...(manifest.windows.length === 0
      ? {}
      : { waitUntil: (certificate: Certificate, now: Clocks) => waitUntil(manifest, certificate, now) }),
    onNote: (sentence) => onNote(manifest, sentence),
  };
}

/**
 * Outside its window a certificate is left alone while more than a tenth of its life is left, by each clock. A window is
 * one of this host's own time.
 */
function waitUntil({ windows }: Manifest, certificate: Certificate, now: Clocks): Date | undefined {
  if (isOpen(windows, now.host) || untilMs(now, urgentAt(certificate)) < 0) return undefined;
  return nextOpening(windows, now.host);
}

/** Of a timer that fires once a day: what may lie between two runs, with what the second may be late by. */
const longestGapMs = 25 * 3_600_000;

/** A run may come that long after the certificate is due; then it still has to be valid. */
function tellShortLife(manifest: Manifest, certificate: Certificate, { onNote }: RunOptions): void {
  if (certificate.notAfter.getTime() - dueAt(certificate, true).getTime() > longestGapMs) return;
  const life = formatDuration(lifeMs(certificate) / 1000);
  onNote(
    manifest,
    `a certificate that lives ${life} may end between two daily runs: have the timer fire more often`,
  );
}

/** One that would be issued now, and why; or that can't be told. */
export type Due =
  | { readonly manifest: Manifest; readonly reasons: readonly string[] }
  | { readonly manifest: Manifest; readonly failure: Failure };

/** What a run would issue, by this host's files and clock alone; those that are not due are left out. */
export async function dueManifests(manifests: readonly Manifest[]): Promise<readonly Due[]> {
  const now = readClocks();
  const found = lookAt(manifests);
  const all = await Promise.all(
    manifests.map(async (manifest): Promise<Due[]> => {
      try {
        const reasons = await dueReasons(manifest, found.get(manifest), now);
        return reasons.length === 0 ? [] : [{ manifest, reasons }];
      } catch (error) {
        return [{ manifest, failure: toFailure(error) }];
      }
    }),
  );
  return all.flat();
}

async function dueReasons(
  manifest: Manifest,
  found: Found | undefined,
  now: Clocks,
): Promise<readonly string[]> {
  if (found instanceof Failure) throw found;
  if (found !== undefined) refuseForeignKey(found, manifest);
  const { reasons, certificate, clocks = now, isUsable } = await standing(found ?? {}, manifest, now, true);
  if (isUsable && certificate !== undefined && waitUntil(manifest, certificate, clocks) !== undefined)
    return [];
  return reasons.length === 0 && manifest.renew === "always" ? ["it is renewed at each run"] : reasons;
}
