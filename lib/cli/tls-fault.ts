import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { Failure } from "../failure.ts";
import { printable } from "../host/file-error.ts";
import { describe, type GivenPem } from "./given-pem.ts";

/**
 * Finds the file that keeps TLS from working. The runtime reports an invalid CA, or a key that does not belong to the
 * certificate, as if it could not connect to the address.
 *
 * @returns undefined if all files can be used
 */
export function findTlsFault(
  trusted: readonly GivenPem[],
  cert: GivenPem | undefined,
  key: GivenPem | undefined,
): Failure | undefined {
  const broken = trusted.find(({ pem }) => pem.some((ca) => !works(() => createSecureContext({ ca }))));
  if (broken !== undefined) return fault(`${names(broken)} holds a certificate that can't be read`);
  if (cert === undefined || key === undefined) return undefined;
  const [certPem, keyPem] = [cert.pem.join(""), key.pem.join("")];
  if (works(() => createSecureContext({ cert: certPem, key: keyPem }))) return undefined;
  if (!cert.pem.every((pem) => works(() => new X509Certificate(pem))))
    return fault(`${names(cert)} holds a certificate that can't be read`);
  if (!works(() => createPrivateKey(keyPem))) return fault(`${names(key)} holds a key that can't be read`);
  const isKeyOf = (pem: string) => new X509Certificate(pem).checkPrivateKey(createPrivateKey(keyPem));
  if (isKeyOf(certPem)) return fault(`${names(key)} holds a key of a type that can't be used for TLS`);
  return fault(
    `the key in ${describe(key)} does not belong to the certificate in ${describe(cert)}`,
    cert.pem.some(isKeyOf)
      ? "the client's own certificate has to come first in its file"
      : "give the key that the certificate was signed for",
  );
}

function works(call: () => unknown): boolean {
  try {
    call();
    return true;
  } catch {
    return false;
  }
}

function names({ variable, path }: GivenPem): string {
  return path === undefined ? variable : `${variable} names ${printable(path)}, which`;
}

function fault(sentence: string, hint?: string): Failure {
  return new Failure("config", sentence, { hint });
}
