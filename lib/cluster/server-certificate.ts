import { X509Certificate } from "node:crypto";
import { calendarDate } from "../calendar.ts";
import { Failure } from "../failure.ts";
import type { VaultClient } from "../vault/client.ts";
import { each, type OnProgress } from "../vault/each.ts";
import { listCertificates, readStoredCertificate } from "../vault/pki.ts";
import { oddAnswerHint } from "../vault/shape.ts";

/** A certificate that the server stores. */
export interface ServerCertificate {
  readonly x509: X509Certificate;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/**
 * Reads every certificate that a mount stores, a few at a time, since the server lists only serial numbers.
 *
 * @param path of the mount
 * @param onCertificate called with each that is not revoked, CAs included
 * @throws VaultError; Failure (unavailable) for one that can't be read
 */
export async function readStoredCertificates(
  client: VaultClient,
  path: string,
  onProgress: OnProgress,
  onCertificate: (certificate: ServerCertificate, serial: string) => void,
): Promise<void> {
  const serials = await listCertificates(client, path);
  await each(
    serials,
    async (serial) => {
      const found = await readStoredCertificate(client, path, serial);
      if (found === undefined || found.isRevoked) return;
      onCertificate(readServerCertificate(found.certificate, `number ${serial} in ${path}`), serial);
    },
    (done) => onProgress(`looked at certificates of ${path}`, done, serials.length),
  );
}

/**
 * Parses a certificate from a server's answer.
 *
 * @param of its owner, for the message: `the issuer 1f of demo/pki/k8s`
 * @throws Failure (unavailable) if it is not a certificate
 */
export function readServerCertificate(pem: string, of: string): ServerCertificate {
  try {
    const x509 = new X509Certificate(pem);
    const [notBefore, notAfter] = [calendarDate(x509.validFrom), calendarDate(x509.validTo)];
    if (notBefore !== undefined && notAfter !== undefined) return { x509, notBefore, notAfter };
  } catch {
    // fails below
  }
  throw new Failure("unavailable", `the certificate of ${of} can't be read`, {
    hint: oddAnswerHint,
  });
}
