import { formatMinute } from "../duration.ts";
import { members } from "../host/certificate-place.ts";
import type { Issued } from "../renewal/issue.ts";
import { keyTypeName } from "../x509/key-type.ts";

/** The outcome for a certificate, as a sentence for people. */
export function issuedSentence(issued: Issued, destination: string): string {
  const { outcome, certificate, dueAt, reasons, keyType, keyKept, waitsUntil } = issued;
  const until = `valid until ${minute(certificate.notAfter)}, due ${minute(dueAt)}`;
  const why = reasons.length === 0 ? "" : ` (${reasons.join("; ")})`;
  switch (outcome) {
    case "not due":
      return `${destination}.pem is not due: ${until}`;
    case "waiting":
      return `${destination}.pem is due${why}, and waits for its window${waitsUntil === undefined ? "" : ` at ${minute(waitsUntil)}`}`;
    case "CA refreshed":
      return `${refreshedFiles(issued, destination)} refreshed with the server's CAs: certificate ${until}`;
    case "issued": {
      const key =
        keyType === undefined ? "" : `, ${keyTypeName(keyType)} key ${keyKept === true ? "kept" : "made"}`;
      return `${destination}.pem issued${why}: ${until}${key}`;
    }
  }
}

function refreshedFiles({ refreshed = [] }: Issued, destination: string): string {
  return refreshed.map((member) => destination + members[member].suffix).join(" and ");
}

function minute(date: Date): string {
  return `${formatMinute(date)} UTC`;
}

/** The same outcome as JSON. */
export function issuedJson(issued: Issued, destination: string): Readonly<Record<string, unknown>> {
  const { outcome, certificate, dueAt, reasons, keyType, keyKept, waitsUntil } = issued;
  return {
    outcome,
    destination,
    serialNumber: certificate.x509.serialNumber.toLowerCase(),
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    dueAt,
    reasons,
    ...(waitsUntil === undefined ? {} : { waitsUntil }),
    ...(keyType === undefined ? {} : { keyType: keyTypeName(keyType), keyKept }),
  };
}
