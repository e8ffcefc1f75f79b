import { Failure } from "../failure.ts";
import type { StoredSet } from "../host/certificate-set.ts";
import { means } from "../vault/error.ts";
import { type Certificate, isSameCertificate, isSignedBy, readCertificates } from "../x509/certificate.ts";
import { recordOf } from "./request-record.ts";

/** The CA file beside the server's CA; `renewed`: the server's has a new certificate for the same key. */
export type CaOnServer = "same" | "renewed" | "other" | "unknown";

/**
 * The CA that the server names for a sign path, then those above it. It need not be the one that signs there: a role may
 * name another issuer than its mount's default, and a host can't read roles.
 */
export type ServerCa = readonly [Certificate, ...Certificate[]];

/** Gives what `readIssuerChain` does, or throws its Failure. */
type ReadChain = () => Promise<readonly string[]>;

/** @throws Failure where the server names none, or can't be had */
export async function readServerCa(readChain: ReadChain): Promise<ServerCa> {
  const pems = await readChain();
  return readCertificates(pems.join("\n"), "the server's answer");
}

/** As `readServerCa`, with the Failure as a result. */
export async function askServerCa(readChain: ReadChain): Promise<ServerCa | Failure> {
  try {
    return await readServerCa(readChain);
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
}

/**
 * The server's answer in short, to be kept beside a certificate: the CA's fingerprint, or `none` for a mount without a
 * default issuer, in which roles name theirs. Undefined where it can't be told.
 */
export function serverCaId(answer: ServerCa | Failure): string | undefined {
  if (!(answer instanceof Failure)) return answer[0].x509.fingerprint256;
  return means(answer, "noIssuer") ? "none" : undefined;
}

/**
 * Compares the CA file with the CA that the server names. One that the server named before it signed this certificate,
 * too, counts as the same, whichever CA has signed: the next certificate would have the signer that this one has.
 */
export function compareCa(set: StoredSet, certificate: Certificate, answer: ServerCa | Failure): CaOnServer {
  const id = serverCaId(answer);
  if (id !== undefined && id === recordOf(set)?.serverCa) return "same";
  if (answer instanceof Failure) return "unknown";
  const [issuer] = answer;
  if (readCertificates(set.ca ?? "", "the CA file").some((it) => isSameCertificate(it, issuer)))
    return "same";
  return isSignedBy(certificate, issuer) ? "renewed" : "other";
}
