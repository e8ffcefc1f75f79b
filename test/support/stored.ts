import type { SetFiles, StoredSet } from "../../lib/host/certificate-set.ts";
import { type Assessment, assess } from "../../lib/renewal/decide.ts";
import { inspect } from "../../lib/renewal/inspect.ts";
import type { CertificateRequest } from "../../lib/renewal/request.ts";
import { callPolicy, type RenewalPolicy } from "../../lib/renewal/when-due.ts";
import type { Clocks } from "../../lib/vault/clocks.ts";

/** The texts of a set's files, and of its record. */
export interface Texts extends Partial<Record<keyof SetFiles, string | undefined>> {
  readonly request?: string | undefined;
}

/** A set as if it had been read from disk. */
function storedSet({ request, ...texts }: Texts): StoredSet {
  const facts = { attributes: {}, request, noted: request, isPending: false, isClosed: false };
  const { key, certificate, ca } = texts;
  if (key !== undefined && certificate !== undefined && ca !== undefined)
    return { state: "whole", files: { key, certificate, ca }, ...facts };
  const files = Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== undefined));
  return Object.keys(files).length === 0 ? { state: "missing" } : { state: "partial", files, ...facts };
}

/** The properties of a set, and whether its files belong together. */
export async function assessTexts(
  texts: Texts,
  asked: CertificateRequest,
  clocks: Clocks,
  policy: RenewalPolicy = callPolicy("never"),
): Promise<Assessment & { readonly match?: { readonly key: boolean; readonly ca: boolean } }> {
  const inspected = await inspect("/nowhere/it", storedSet(texts));
  const match = inspected.state === "whole" && { key: inspected.keyMatches, ca: inspected.caMatches };
  return { ...assess(inspected, asked, policy, clocks), ...(match === false ? {} : { match }) };
}
