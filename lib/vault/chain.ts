import type { Answer } from "./shape.ts";

/** Longer than any chain. Every certificate is compared with every other, and the files that hold them stay short. */
export const mostCertificates = 32;
const mostCharacters = 128 * 1024;

/** Whether these texts hold no more certificates and characters than any chain does. */
export function isWithinChain(pems: readonly string[]): boolean {
  const begun = pems.reduce((sum, pem) => sum + pem.split("-----BEGIN ", mostCertificates + 2).length - 1, 0);
  const length = pems.reduce((sum, pem) => sum + pem.length, 0);
  return pems.length <= mostCertificates && begun <= mostCertificates && length <= mostCharacters;
}

/**
 * The same certificates, each in PEM.
 *
 * @param data the answer that they are in
 * @throws Failure (unavailable) if there are more certificates or characters than in any chain
 */
export function withinChain<T extends readonly string[]>(data: Answer, pems: T): T {
  if (isWithinChain(pems)) return pems;
  throw data.mismatch("holds more certificates than a chain has");
}
