import { Failure } from "../failure.ts";
import type { PublicFiles, SetFiles } from "../host/certificate-set.ts";
import { type Clocks, readClocks } from "../vault/clocks.ts";
import { issuerOfSignPath, mountOfSignPath, signCsr } from "../vault/pki.ts";
import { isSameCertificate, joinPem, readCertificates } from "../x509/certificate.ts";
import type { PrivateKey } from "../x509/key.ts";
import { type CheckedCertificate, checkSigned } from "./check-signed.ts";
import type { RenewalJob } from "./renewal.ts";
import { type CaRequest, isRecorded, type RequestRecord } from "./request.ts";
import { askServerCas, knownIn, type ListedCas, type NamedCas, serverCaId } from "./server-ca.ts";
import { explainRefusal } from "./sign-refusal.ts";
import { BundleTooLong, trustBundle } from "./trust-bundle.ts";

type Signed = CheckedCertificate & { readonly now: Clocks };

/** A new certificate, with what its files will hold. */
export interface SignedFiles {
  readonly signed: Signed;
  readonly files: PublicFiles;
  /** The server's CAs, for the record. */
  readonly cas: Pick<RequestRecord, "signedBy" | "serverCa">;
  /** `made`: the files hold what the server has. `missed`: it could not be asked. */
  readonly caCheck: "made" | "not due" | "missed";
}

/** What a destination holds before the new certificate. */
interface Existing {
  readonly files: Partial<SetFiles>;
  /** Undefined if the record is not about these files. */
  readonly record: RequestRecord | undefined;
  readonly isCheckDue: boolean;
  /** This run has asked for the server's CAs already. */
  readonly isAsked: boolean;
}

/**
 * Has the key signed, and makes the files. If the certificate comes with the same CAs as the one before, those files'
 * CAs stay, unless a CA check is due. Else the server is asked for the mount's CAs.
 *
 * @throws Failure; BundleTooLong
 */
export async function signAndAsk(key: PrivateKey, existing: Existing, job: RenewalJob): Promise<SignedFiles> {
  const signed = await sign(key, job);
  const kept = existing.isCheckDue ? undefined : keptFiles(signed, existing, job);
  if (kept !== undefined) {
    const serverCa = existing.record?.serverCa;
    return { signed, files: kept, cas: { signedBy: digestOf(signed, job), serverCa }, caCheck: "not due" };
  }
  const known = [...signed.authorities, ...knownIn(existing.files)];
  const answer = await askServerCas(await job.caReader(), job, known);
  if (answer instanceof BundleTooLong) throw answer;
  if (!(answer instanceof Failure) && "issuers" in answer) return listed(signed, answer, job);
  return await named(key, signed, existing, answer, job);
}

/** The files for a certificate that comes with the same CAs as the one before; undefined if that is not so. */
function keptFiles(signed: Signed, { files, record }: Existing, job: RenewalJob): PublicFiles | undefined {
  const { key, certificate, ca } = files;
  if (record === undefined || key === undefined || certificate === undefined || ca === undefined)
    return undefined;
  if (record.signedBy !== undefined) {
    if (record.signedBy !== digestOf(signed, job) || !isRecorded(record, { key, certificate, ca }))
      return undefined;
    const [, ...others] = readCertificates(certificate, "the certificate file");
    return { certificate: joinPem([signed.leaf, ...others]), ca };
  }
  // A record of an older version, which wrote the signing CA alone.
  const written = filesOfOne(signed, job);
  return record.serverCa !== undefined && ca === written.ca ? written : undefined;
}

/** The CAs that came with a certificate, in short: the same for the same answer to the same question. */
function digestOf({ authorities: [issuer, ...above] }: Signed, { signPath, caChain }: CaRequest): string {
  const fingerprints = [issuer, ...above].map(({ x509 }) => x509.fingerprint256);
  const [first, ...rest] = fingerprints;
  const parts = [issuerOfSignPath(signPath), caChain, first, ...rest.toSorted()];
  return new Bun.CryptoHasher("sha256").update(JSON.stringify(parts)).digest("hex");
}

/** The files by the issuers that the mount lists. */
function listed(signed: Signed, { issuers }: ListedCas, job: RenewalJob): SignedFiles {
  const { leaf, authorities } = signed;
  const [issuer] = authorities;
  const sent = authorities.map((certificate) => ({ certificate, keyId: "", isNamed: false }));
  const bundle = trustBundle(leaf, [...issuers, ...sent], job);
  // Else the list is older than the CA that has signed, or that CA was removed at this moment.
  const anchors = bundle.isTrusted ? bundle.authorities : [issuer, ...bundle.authorities];
  return {
    signed,
    files: { certificate: joinPem(bundle.chain), ca: joinPem(anchors) },
    ...(bundle.isTrusted
      ? { cas: { signedBy: digestOf(signed, job) }, caCheck: "made" }
      : { cas: {}, caCheck: "missed" }),
  };
}

/** The files by the CA that signed alone, because the server does not list the mount's keys or did not answer. */
async function named(
  key: PrivateKey,
  signed: Signed,
  { files, record, isAsked }: Existing,
  answer: NamedCas | Failure,
  job: RenewalJob,
): Promise<SignedFiles> {
  const made = (it: Signed, id: string | undefined): SignedFiles => ({
    signed: it,
    files: filesOfOne(it, job),
    // Without a digest, the next certificate leads to the question again.
    cas: id === undefined ? {} : { signedBy: digestOf(it, job), serverCa: id },
    caCheck: "made",
  });
  const serverCa = serverCaId(answer);
  if (serverCa === undefined) {
    return { ...made(signed, undefined), files: withKept(signed, files.ca, record, job), caCheck: "missed" };
  }
  const isExpected = answer instanceof Failure || isSameCertificate(signed.authorities[0], answer.named[0]);
  if (isExpected || isAsked) return made(signed, serverCa);
  try {
    // The server may have got another CA after it signed. The record must name the CA from before, so it signs again.
    return made(await sign(key, job), serverCa);
  } catch (error) {
    if (error instanceof Failure) return made(signed, undefined);
    throw error;
  }
}

/** The files by the CA that signed alone, with the CAs above it if they are asked for. */
function filesOfOne({ leaf, intermediates, authorities }: Signed, { caChain }: CaRequest): PublicFiles {
  const [issuer] = authorities;
  return {
    certificate: joinPem([leaf, ...intermediates]),
    ca: joinPem(caChain ? authorities : [issuer]),
  };
}

/** Without an answer, a host goes on to trust the CAs of its mount that it has. */
function withKept(
  signed: Signed,
  ca: string | undefined,
  record: RequestRecord | undefined,
  job: RenewalJob,
): PublicFiles {
  const files = filesOfOne(signed, job);
  const isSameMount =
    record !== undefined && mountOfSignPath(record.signPath) === mountOfSignPath(job.signPath);
  if (!isSameMount || ca === undefined) return files;
  const written = knownIn({ ca: files.ca });
  const kept = knownIn({ ca }).filter((it) => !written.some((other) => isSameCertificate(it, other)));
  return { ...files, ca: files.ca + joinPem(kept) };
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
