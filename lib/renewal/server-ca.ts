import { asFailure, Failure } from "../failure.ts";
import { means } from "../vault/error.ts";
import { type Certificate, isSameCertificate, isSignedBy, readCertificates } from "../x509/certificate.ts";
import type { RequestRecord } from "./request.ts";

/** The CA file compared with the server's CA; `renewed`: the server's CA has a new certificate for the same key. */
export type CaOnServer = "same" | "renewed" | "other" | "unknown";

/**
 * The CA that the server names for a sign path, then those above it. Another CA may sign there: a role may name an
 * issuer other than its mount's default, and a host can't read roles.
 */
export type ServerCa = readonly [Certificate, ...Certificate[]];

/** Returns the same as `readIssuerChain`, or throws its Failure. */
type ReadIssuers = () => Promise<readonly string[]>;

/** @throws Failure if the server names no CA, or can't be asked */
export async function readServerCa(readIssuers: ReadIssuers): Promise<ServerCa> {
  const pems = await readIssuers();
  return readCertificates(pems.join("\n"), "the server's answer");
}

/** As `readServerCa`, with the Failure as a result. */
export async function askServerCa(readIssuers: ReadIssuers): Promise<ServerCa | Failure> {
  try {
    return await readServerCa(readIssuers);
  } catch (error) {
    return asFailure(error);
  }
}

/**
 * The server's answer in short, for a certificate's record: the CA's fingerprint, or `none` for a mount without a
 * default issuer, whose roles name theirs. Undefined if the server could not say.
 */
export function serverCaId(answer: ServerCa | Failure): string | undefined {
  if (!(answer instanceof Failure)) return answer[0].x509.fingerprint256;
  return means(answer, "noIssuer") ? "none" : undefined;
}

/**
 * Compares the CA file with the CA that the server names. If the server named this CA already before it signed
 * the certificate, nothing has changed, even if another CA signed: the next certificate would have the same signer.
 *
 * @param caFile its text
 * @throws Failure (data) for a CA file that can't be read
 */
export function compareCa(
  caFile: string,
  certificate: Certificate,
  record: RequestRecord | undefined,
  answer: ServerCa | Failure,
): CaOnServer {
  const id = serverCaId(answer);
  if (id !== undefined && id === record?.serverCa) return "same";
  if (answer instanceof Failure) return "unknown";
  const [issuer] = answer;
  if (readCertificates(caFile, "the CA file").some((it) => isSameCertificate(it, issuer))) return "same";
  return isSignedBy(certificate, issuer) ? "renewed" : "other";
}
