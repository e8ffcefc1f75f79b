import { Failure } from "../failure.ts";
import { type Clocks, readClocks } from "../vault/clocks.ts";
import { readIssuerChain } from "../vault/issuers.ts";
import { issuerOfSignPath, signCsr } from "../vault/pki.ts";
import { type Certificate, isSameCertificate } from "../x509/certificate.ts";
import type { PrivateKey } from "../x509/key.ts";
import { type CheckedCertificate, checkSigned } from "./check-signed.ts";
import type { Inspected } from "./inspect.ts";
import type { RenewalJob } from "./renewal.ts";
import { askServerCa, type ServerCa, serverCaId } from "./server-ca.ts";
import { explainRefusal } from "./sign-refusal.ts";

type Signed = CheckedCertificate & { readonly now: Clocks };

/** Has the key signed. Also gives the CA that the server named before it signed; undefined if that is not known. */
export async function signAndAsk(
  key: PrivateKey,
  caFile: string | undefined,
  inspected: Inspected,
  job: RenewalJob,
  named: ServerCa | Failure | undefined,
): Promise<{ readonly signed: Signed; readonly serverCa: string | undefined }> {
  const signed = await sign(key, job);
  if (named !== undefined) return { signed, serverCa: serverCaId(named) };
  const before = "record" in inspected ? inspected.record?.serverCa : undefined;
  // The same CA has signed again, so the recorded answer still holds.
  if (before !== undefined && caFile === caFileOf(signed.authorities, job))
    return { signed, serverCa: before };
  const answer = await askServerCa(() => readIssuers(job));
  const serverCa = serverCaId(answer);
  const isExpected = !(answer instanceof Failure) && isSameCertificate(signed.authorities[0], answer[0]);
  if (serverCa === undefined || isExpected) return { signed, serverCa };
  try {
    // The server may have got another CA after it signed. The record must name the CA from before, so it signs again.
    return { signed: await sign(key, job), serverCa };
  } catch (error) {
    if (error instanceof Failure) return { signed, serverCa: undefined };
    throw error;
  }
}

/** The text of the CA file: the signer, and the CAs above it if they are asked for. */
export function caFileOf(authorities: ServerCa, { caChain }: Pick<RenewalJob, "caChain">): string {
  return joinPem(caChain ? authorities : [authorities[0]]);
}

async function sign(key: PrivateKey, { client, names, signPath }: RenewalJob): Promise<Signed> {
  const { createCsr } = await import("../x509/csr.ts");
  const csr = createCsr(key, names);
  const signed = await signCsr(client, signPath, { csr, ...names }).catch(async (error) => {
    throw await explainRefusal(client, signPath, error);
  });
  // After the answer, which tells the server's time.
  const now = readClocks(client);
  return { ...checkSigned(signed, key, names, now), now };
}

/** The CA that the server names for the sign path, as `readIssuerChain` gives it. */
export async function readIssuers({ client, signPath, readIssuers }: RenewalJob): Promise<readonly string[]> {
  const issuer = issuerOfSignPath(signPath);
  return await (readIssuers?.(issuer) ?? readIssuerChain(client, issuer));
}

/** PEM texts as one file. */
export function joinPem(certificates: readonly Certificate[]): string {
  return certificates.map(({ pem }) => pem).join("");
}
