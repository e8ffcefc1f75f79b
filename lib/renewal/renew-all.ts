import { formatDuration } from "../duration.ts";
import { Failure } from "../failure.ts";
import { lookAtSet, type SeenSet } from "../host/certificate-set.ts";
import { keepFoldersOpen } from "../host/folder.ts";
import { roomFor } from "../host/open-files.ts";
import type { Manifest } from "../manifest/manifest.ts";
import type { VaultClient } from "../vault/client.ts";
import { learnServerTime } from "../vault/clocks.ts";
import { gate } from "../vault/gate.ts";
import { caReaderFor, type Issued, judge, renew } from "./issue.ts";
import { lifetimeMs } from "./validity.ts";
import { type CaCheck, dueAt, manifestPolicy, reissuePolicy } from "./when-due.ts";

/** The outcome for one manifest. A failure leaves the others as they are. */
export type Outcome =
  | { readonly manifest: Manifest; readonly issued: Issued }
  | { readonly manifest: Manifest; readonly failure: Failure };

/** What was seen at each manifest's destination, or why it can't be examined. */
export type Seen = ReadonlyMap<Manifest, SeenSet | Failure>;

/** Examines all destinations, and opens each of their folders once. */
export function lookAtAll(manifests: readonly Manifest[]): Seen {
  using folders = keepFoldersOpen();
  return new Map(
    manifests.map((manifest): [Manifest, SeenSet | Failure] => {
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
  /** As `lookAtAll` has just seen it. */
  readonly seen: Seen;
  /** When to check the server's CAs, for certificates that are not due. @default "weekly" */
  readonly caCheck?: CaCheck;
  /** Replaces every certificate, due or not, and outside its windows. @default false */
  readonly reissue?: boolean;
  readonly signal: AbortSignal;
  /** Takes notes; those without a manifest are about the whole run. */
  readonly onNote: (manifest: Manifest | undefined, sentence: string) => void;
}

/** How many files are open for one certificate that is issued: its folders, its lock, and a file that is written. */
const filesOfCertificate = 8;

/** Renews all manifests that are due, over the same connections, and at the same time as far as files may be open. */
export async function renewAll(
  manifests: readonly Manifest[],
  options: RunOptions,
): Promise<readonly Outcome[]> {
  if (manifests.length === 0) return [];
  const { client, caCheck = "weekly", reissue = false, signal, onNote } = options;
  // Once for all of them.
  const clock = learnServerTime(client);
  const caReader = caReaderFor(client);
  const enter = gate(roomFor(filesOfCertificate));
  let isClockNoted = false;
  const onClockNote = (sentence: string) => {
    if (!isClockNoted) onNote(undefined, sentence);
    isClockNoted = true;
  };
  return await Promise.all(
    manifests.map(async (manifest): Promise<Outcome> => {
      try {
        using _ = await enter();
        await clock;
        const seen = options.seen.get(manifest);
        if (seen instanceof Failure) throw seen;
        const tell = (sentence: string) => onNote(manifest, sentence);
        const keepsPending = manifest.hooks.length > 0;
        const run = { client, signal, seen, caReader, keepsPending, onNote: tell, onClockNote };
        const policy = reissue ? reissuePolicy : manifestPolicy(manifest, caCheck);
        const issued = await renew({ ...manifest, policy }, run);
        noteShortLifetime(manifest, issued, tell);
        return { manifest, issued };
      } catch (error) {
        return { manifest, failure: toFailure(error) };
      }
    }),
  );
}

/** A bug of ours stops one certificate; the others go on. */
function toFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const what = error instanceof Error ? error.message : String(error);
  return new Failure("internal", `a fault in this tool: ${what}`, { cause: error });
}

/** The longest time between two runs of a daily timer, whose second run may be delayed. */
const longestGapMs = 25 * 3_600_000;

/** The next run may come that long after a certificate is due, and must still find it valid. */
function noteShortLifetime(
  manifest: Manifest,
  { certificate }: Issued,
  tell: (sentence: string) => void,
): void {
  const due = dueAt(certificate, manifestPolicy(manifest, "never"));
  if (certificate.notAfter.getTime() - due.getTime() > longestGapMs) return;
  const lifetime = formatDuration(lifetimeMs(certificate) / 1000);
  tell(
    `a certificate with a lifetime of ${lifetime} may expire between two daily runs: have the timer fire more often`,
  );
}

/** A certificate that would be issued now, and why; or one that can't be judged. */
export type Due =
  | { readonly manifest: Manifest; readonly reasons: readonly string[] }
  | { readonly manifest: Manifest; readonly failure: Failure };

/** What a run would issue, by this host's files and clock alone; certificates that are not due are left out. */
export async function listDue(manifests: readonly Manifest[]): Promise<readonly Due[]> {
  const seen = lookAtAll(manifests);
  const all = await Promise.all(
    manifests.map(async (manifest): Promise<Due[]> => {
      try {
        const found = seen.get(manifest) ?? { state: "missing" };
        if (found instanceof Failure) throw found;
        const { decision } = await judge({ ...manifest, policy: manifestPolicy(manifest, "never") }, found);
        if (decision.action !== "issue") return [];
        const { reasons } = decision;
        return [{ manifest, reasons: reasons.length === 0 ? ["it is renewed at each run"] : reasons }];
      } catch (error) {
        return [{ manifest, failure: toFailure(error) }];
      }
    }),
  );
  return all.flat();
}
