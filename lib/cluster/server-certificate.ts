import { X509Certificate } from "node:crypto";
import { calendarDate } from "../calendar.ts";
import { Failure } from "../failure.ts";
import { oddAnswerHint } from "../vault/shape.ts";

/** A certificate that the server stores. */
export interface ServerCertificate {
  readonly x509: X509Certificate;
  readonly notBefore: Date;
  readonly notAfter: Date;
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
