import type { X509Certificate } from "node:crypto";
import type { VaultClient } from "../vault/client.ts";
import type { OnProgress } from "../vault/each.ts";
import { hasSigned, type MountCa, type MountCas } from "./mount-cas.ts";
import { readStoredCertificates } from "./server-certificate.ts";

/** The certificates of one CA that have not expired and are not revoked. CAs whose keys the mount holds are not counted. */
export interface InUse {
  readonly count: number;
  /** When the last one ends; undefined if there is none. */
  readonly lastEnd: Date | undefined;
  /** By the common name, or the whole subject without one; the latest end first. */
  readonly names: readonly NameInUse[];
}

interface NameInUse {
  readonly name: string;
  readonly count: number;
  readonly lastEnd: Date;
}

export const noneInUse: InUse = { count: 0, lastEnd: undefined, names: [] };

/**
 * Counts what the CAs of a mount have signed. It reads every certificate that the mount stores, and keeps only the names.
 *
 * @param now by the server's clock
 * @param onUsed called with the serial number of each certificate in use, and the CA that signed it
 * @returns by the id of the CA's key; a CA that has signed nothing is left out
 */
export async function countInUse(
  client: VaultClient,
  mount: string,
  cas: MountCas,
  now: Date,
  onProgress: OnProgress,
  onUsed: (serial: string, ca: MountCa) => void = () => {},
): Promise<ReadonlyMap<string, InUse>> {
  const counts = new Map<string, Map<string, { count: number; lastEnd: Date }>>();
  const signerOf = signerFinder(cas);
  const own = new Set(cas.issuers.filter(({ keyId }) => keyId !== "").map(({ x509 }) => publicKeyOf(x509)));
  await readStoredCertificates(client, mount, onProgress, ({ x509, notAfter }, serial) => {
    if (notAfter <= now || (x509.ca && own.has(publicKeyOf(x509)))) return;
    const ca = signerOf(x509);
    if (ca === undefined) return;
    onUsed(serial, ca);
    const names = counts.get(ca.keyId) ?? new Map();
    counts.set(ca.keyId, names);
    const name = nameOf(x509);
    const { count, lastEnd } = names.get(name) ?? { count: 0, lastEnd: notAfter };
    const later = Math.max(lastEnd.getTime(), notAfter.getTime());
    names.set(name, { count: count + 1, lastEnd: new Date(later) });
  });
  return new Map([...counts].map(([keyId, names]) => [keyId, summed(names)]));
}

function summed(counted: ReadonlyMap<string, { readonly count: number; readonly lastEnd: Date }>): InUse {
  const names = [...counted]
    .map(([name, it]) => ({ name, ...it }))
    .toSorted((a, b) => b.lastEnd.getTime() - a.lastEnd.getTime() || (a.name < b.name ? -1 : 1));
  return { count: names.reduce((sum, { count }) => sum + count, 0), lastEnd: names[0]?.lastEnd, names };
}

/**
 * Finds the CA that signed a certificate. The key identifiers tell CAs of the same name apart; a signature is checked
 * only if they leave several.
 */
function signerFinder({ cas }: MountCas): (x509: X509Certificate) => MountCa | undefined {
  const certificates = cas.flatMap((ca) => [...ca.roots, ...ca.others].map((it) => ({ ca, x509: it.x509 })));
  return (x509) => {
    const candidates = [
      ...new Set(certificates.filter((it) => x509.checkIssued(it.x509)).map(({ ca }) => ca)),
    ];
    return candidates.length <= 1 ? candidates[0] : candidates.find((ca) => hasSigned(ca, { x509 }));
  };
}

function publicKeyOf({ publicKey }: X509Certificate): string {
  return publicKey.export({ type: "spki", format: "der" }).toString("base64");
}

function nameOf({ subject }: X509Certificate): string {
  // As the runtime prints it, with control characters escaped: somebody else chose the name.
  return /^CN=(.*)$/m.exec(subject)?.[1] ?? (subject || "without a name").replaceAll("\n", ", ");
}
