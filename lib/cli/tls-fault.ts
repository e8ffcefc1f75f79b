import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { Failure } from "../failure.ts";
import { printable } from "../host/file-error.ts";
import { describe, type Given } from "./given-pem.ts";

/**
 * Which of the files that TLS is to go by can't be used. The runtime tells of a CA that is none, and of a key that is
 * another certificate's, as of an address that it can't connect to.
 *
 * @returns undefined where all of them can be used
 */
export function findTlsFault(
  trusted: readonly Given[],
  cert: Given | undefined,
  key: Given | undefined,
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
  if (isKeyOf(certPem)) return fault(`${names(key)} holds a key of a kind that TLS does not use here`);
  return fault(
    `the key in ${describe(key)} is not that of the certificate in ${describe(cert)}`,
    cert.pem.some(isKeyOf)
      ? "the client's own certificate has to be the first in its file"
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

function names({ variable, path }: Given): string {
  return path === undefined ? variable : `${variable} names ${printable(path)}, which`;
}

function fault(sentence: string, hint?: string): Failure {
  return new Failure("config", sentence, { hint });
}
