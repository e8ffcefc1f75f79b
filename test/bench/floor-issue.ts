import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import { PrintableString } from "asn1js";
import { AttributeTypeAndValue, CertificationRequest } from "pkijs";

// The least that a program on this runtime has to do for a job of issue-cert: renew the token, make a key and its CSR,
// have that signed, and make as many durable writes. It checks nothing, and keeps no earlier file.
// floor-issue CONFIG-FOLDER SIGN-PATH COMMON-NAME FOLDER

async function main(): Promise<void> {
  const [, , config = "", signPath = "", commonName = "", folder = ""] = process.argv;
  const { VAULT_ADDR = "", VAULT_CACERT = "" } = process.env;
  const token = readFileSync(`${config}/token`, "utf8").trim();
  const tls = { ca: readFileSync(VAULT_CACERT, "utf8") };
  const post = async (path: string, body: unknown): Promise<unknown> => {
    const response = await fetch(`${VAULT_ADDR}/v1/${path}`, {
      method: "POST",
      headers: { "X-Vault-Token": token },
      body: JSON.stringify(body),
      tls,
    });
    if (!response.ok) throw new Error(await response.text());
    return await response.json();
  };
  await post("auth/token/renew-self", {});

  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  const pair = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const request = new CertificationRequest({ attributes: [] });
  request.subject.typesAndValues.push(
    new AttributeTypeAndValue({ type: "2.5.4.3", value: new PrintableString({ value: commonName }) }),
  );
  await request.subjectPublicKeyInfo.importKey(pair.publicKey);
  await request.sign(pair.privateKey, "SHA-256");
  const csr = pem("CERTIFICATE REQUEST", request.toSchema().toBER());
  const key = pem("PRIVATE KEY", await crypto.subtle.exportKey("pkcs8", pair.privateKey));
  const { data } = (await post(signPath, { csr, common_name: commonName })) as {
    data: { certificate: string; issuing_ca: string };
  };

  const version = `${folder}/${Date.now()}-${process.pid}`;
  mkdirSync(version, { recursive: true });
  write(`${version}/key.pem`, key);
  write(`${version}/cert.pem`, data.certificate);
  write(`${version}/ca.pem`, data.issuing_ca);
  write(`${version}/request.json`, JSON.stringify({ signPath, commonName }));
  sync(version);
  sync(folder);
  symlinkSync(version, `${folder}/new`);
  renameSync(`${folder}/new`, `${folder}/current`);
  sync(folder);
  console.log(`${folder} issued`);
  process.exit(0);
}

function pem(label: string, der: ArrayBuffer): string {
  const lines = new Uint8Array(der).toBase64().match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

function write(path: string, text: string): void {
  const fd = openSync(path, "wx", 0o600);
  writeSync(fd, text);
  fsyncSync(fd);
  closeSync(fd);
}

function sync(path: string): void {
  const fd = openSync(path, "r");
  fsyncSync(fd);
  closeSync(fd);
}

void main();
