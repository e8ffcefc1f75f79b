import { formatDuration } from "../duration.ts";
import { ExitCode, Failure } from "../failure.ts";
import { readSet } from "../host/certificate-set.ts";
import { resolveOwnership } from "../host/owner.ts";
import type { Manifest } from "../manifest/manifest.ts";
import { isOpen, nextOpening } from "../manifest/window.ts";
import type { VaultClient } from "../vault/client.ts";
import { encodePath } from "../vault/path.ts";
import type { Certificate } from "../x509/certificate.ts";
import { dueAt, lifeMs, standing } from "./due.ts";
import { type Issued, type IssueOptions, issueCertificate } from "./issue-certificate.ts";

/** What came of one manifest: each stands alone, and one that fails leaves the others done. */
export type Outcome =
  | { readonly manifest: Manifest; readonly issued: Issued }
  | { readonly manifest: Manifest; readonly failure: Failure };

export interface RunOptions {
  /** With the host's token. */
  readonly client: VaultClient;
  readonly signal: AbortSignal;
  readonly onNote: (manifest: Manifest, sentence: string) => void;
}

/** Issues what is due of all manifests, at the same time and over the same connections. */
export async function issueManifests(
  manifests: readonly Manifest[],
  options: RunOptions,
): Promise<readonly Outcome[]> {
  return await Promise.all(
    manifests.map(async (manifest): Promise<Outcome> => {
      try {
        const issued = await issueCertificate(issueOptions(manifest, options));
        tellShortLife(manifest, issued.certificate, options);
        return { manifest, issued };
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        return { manifest, failure: error };
      }
    }),
  );
}

function issueOptions(manifest: Manifest, { client, signal, onNote }: RunOptions): IssueOptions {
  encodePath(manifest.signPath);
  return {
    ...manifest,
    client,
    signal,
    owner: resolveOwnership(manifest.owner, manifest.group),
    ifDue: manifest.renew === "due",
    force: false,
    halfOfShortLife: true,
    watchCa: true,
    keepsPending: manifest.hooks.length > 0,
    waitUntil: (certificate, now) => waitUntil(manifest, certificate, now),
    onNote: (sentence) => onNote(manifest, sentence),
  };
}

/** Outside its window a certificate is left alone while more than a tenth of its life is left. */
function waitUntil({ windows }: Manifest, certificate: Certificate, now: Date): Date | undefined {
  const leftMs = certificate.notAfter.getTime() - now.getTime();
  if (isOpen(windows, now) || leftMs < lifeMs(certificate) / 10) return undefined;
  return nextOpening(windows, now);
}

const dayMs = 86_400_000;

/** A timer that fires once a day may come a day after the certificate is due; then it still has to be valid. */
function tellShortLife(manifest: Manifest, certificate: Certificate, { onNote }: RunOptions): void {
  if (certificate.notAfter.getTime() - dueAt(certificate, true).getTime() > dayMs) return;
  const life = formatDuration(lifeMs(certificate) / 1000);
  onNote(
    manifest,
    `a certificate that lives ${life} may end between two daily runs: have the timer fire more often`,
  );
}

/** One that would be issued now, and why. */
export interface Due {
  readonly manifest: Manifest;
  readonly reasons: readonly string[];
}

/** What a run would issue, by this host's files and clock alone. */
export async function dueManifests(manifests: readonly Manifest[]): Promise<readonly Due[]> {
  const now = new Date();
  const all = await Promise.all(
    manifests.map(async (manifest): Promise<Due[]> => {
      if (manifest.renew === "always") return [{ manifest, reasons: ["it is renewed at each run"] }];
      const { reasons, certificate, isUsable } = await standing(
        readSet(manifest.destination),
        manifest,
        now,
        true,
      );
      const waits =
        isUsable && certificate !== undefined && waitUntil(manifest, certificate, now) !== undefined;
      return reasons.length === 0 || waits ? [] : [{ manifest, reasons }];
    }),
  );
  return all.flat();
}

/** The worst of several exit codes: one that says not to try again goes before one that says to. */
export function worstExitCode(codes: readonly ExitCode[]): ExitCode {
  const order: readonly ExitCode[] = [
    ExitCode.ok,
    ExitCode.wouldChange,
    ExitCode.tryLater,
    ExitCode.unavailable,
    ExitCode.noPermission,
    ExitCode.cantCreate,
    ExitCode.data,
    ExitCode.config,
    ExitCode.usage,
    ExitCode.software,
  ];
  return codes.reduce(
    (worst, code) => (order.indexOf(code) > order.indexOf(worst) ? code : worst),
    ExitCode.ok,
  );
}
