import { X509Certificate } from "node:crypto";
import { calendarDate } from "../calendar.ts";
import { Failure } from "../failure.ts";

/** A certificate that a server keeps. */
export interface ServerCertificate {
  readonly x509: X509Certificate;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/**
 * Reads a certificate that a server has answered with.
 *
 * @param of whose it is, for the sentence: `the issuer 1f of demo/pki/k8s`
 * @throws Failure (unavailable) for what is none
 */
export function readServerCertificate(pem: string, of: string): ServerCertificate {
  try {
    const x509 = new X509Certificate(pem);
    const [notBefore, notAfter] = [calendarDate(x509.validFrom), calendarDate(x509.validTo)];
    if (notBefore !== undefined && notAfter !== undefined) return { x509, notBefore, notAfter };
  } catch {
    // as below
  }
  throw new Failure("unavailable", `the certificate of ${of} can't be read`, {
    hint: "this is not what Vault or OpenBao answers: check VAULT_ADDR, and the proxy between",
  });
}
