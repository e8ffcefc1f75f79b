import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openssl } from "./openssl.ts";

export interface CertificateFiles {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** Makes a CA and a certificate from it for a server or a client on 127.0.0.1, in an existing folder. */
export function makeCertificates(folder: string, name: string): CertificateFiles {
  const file = (suffix: string) => join(folder, `${name}-${suffix}`);
  const [caFile, caKey, certFile, keyFile] = [
    file("ca.pem"),
    file("ca.key"),
    file("cert.pem"),
    file("key.pem"),
  ];
  const fresh = [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-days",
    "1",
  ];
  openssl([...fresh, "-subj", `/CN=${name} CA`, "-keyout", caKey, "-out", caFile]);
  openssl([
    ...fresh,
    ...["-CA", caFile, "-CAkey", caKey, "-subj", `/CN=${name}`],
    ...["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"],
    ...["-keyout", keyFile, "-out", certFile],
  ]);
  const read = (path: string) => readFileSync(path, "utf8");
  return { caFile, certFile, keyFile, ca: read(caFile), cert: read(certFile), key: read(keyFile) };
}
