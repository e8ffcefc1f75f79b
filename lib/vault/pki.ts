import { withinChain } from "./chain.ts";
import type { VaultClient } from "./client.ts";
import { deleteData, listNames, readData, writeData } from "./data.ts";
import type { Fields } from "./shape.ts";

/**
 * A PKI role's fields; undefined if there is no role of that name.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#read-role
 */
export async function readPkiRole(client: VaultClient, path: string): Promise<Fields | undefined> {
  const data = await readData(client, path);
  return data?.fields;
}

/**
 * Writes a whole PKI role: a field that is left out goes back to the server's default.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#create-update-role
 */
export async function writePkiRole(client: VaultClient, path: string, fields: Fields): Promise<void> {
  await writeData(client, path, fields);
}

/**
 * Deletes a PKI role. It is no error if there is none. Certificates that it signed stay valid.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#delete-role
 */
export async function deletePkiRole(client: VaultClient, path: string): Promise<void> {
  await deleteData(client, path);
}

/**
 * The serial numbers of the certificates that a PKI mount stores, its own CA included.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#list-certificates
 */
export async function listCertificates(client: VaultClient, mount: string): Promise<readonly string[]> {
  return await listNames(client, `${mount}/certs`);
}

export interface StoredCertificate {
  /** PEM. */
  readonly certificate: string;
  readonly isRevoked: boolean;
}

/**
 * A certificate that a PKI mount stores; undefined if it has none of that serial number. Needs no token.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#read-certificate
 */
export async function readStoredCertificate(
  client: VaultClient,
  mount: string,
  serial: string,
): Promise<StoredCertificate | undefined> {
  const data = await readData(client, `${mount}/cert/${serial}`);
  return (
    data && { certificate: data.nonEmptyString("certificate"), isRevoked: data.number("revocation_time") > 0 }
  );
}

/**
 * Revokes a certificate. A later call for the same one changes nothing. The server puts it on the CRL of the issuer whose
 * key signed it, as long as the mount has that issuer.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#revoke-certificate
 */
export async function revokeCertificate(client: VaultClient, mount: string, serial: string): Promise<void> {
  await writeData(client, `${mount}/revoke`, { serial_number: serial }, "update");
}

/**
 * Signs and publishes the CRLs of all issuers of a mount again.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#rotate-crls
 */
export async function rotateCrls(client: VaultClient, mount: string): Promise<void> {
  await client.request({ method: "GET", path: `${mount}/crl/rotate`, capability: "read", repeatable: true });
}

const signPath = /^(.+?)(?:\/issuer\/([^/]+))?\/sign(?:-verbatim)?(?:\/[^/]+)?$/;

/**
 * The path of the issuer that a sign path names: `demo/pki/k8s/issuer/default` for `demo/pki/k8s/sign/kubelet`. A path
 * without an issuer gives the mount's default one, although the role may name another.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#sign-certificate
 */
export function issuerOfSignPath(path: string): string {
  const [, , name = "default"] = signPath.exec(path) ?? [];
  return `${mountOfSignPath(path)}/issuer/${name}`;
}

/** The mount of a sign path: `demo/pki/k8s` for `demo/pki/k8s/sign/kubelet`. */
export function mountOfSignPath(path: string): string {
  return signPath.exec(path)?.[1] ?? path;
}

export interface SignRequest {
  /** PEM. */
  readonly csr: string;
  readonly commonName: string;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

/** All in PEM. */
export interface SignedCertificate {
  readonly certificate: string;
  readonly issuingCa: string;
  /** The issuing CA and those above it that the server knows. */
  readonly caChain: readonly string[];
}

/**
 * Has a CSR signed. The role decides whether the names of the CSR or those of the request count, so both hold the same
 * names. If the first request took effect, a repeat only stores one more certificate in the server.
 *
 * @param path the role's sign path: `demo/pki/k8s/sign/kubelet`
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#sign-certificate
 */
export async function signCsr(
  client: VaultClient,
  path: string,
  request: SignRequest,
): Promise<SignedCertificate> {
  const answer = await client.ask({
    method: "POST",
    path,
    body: {
      csr: request.csr,
      common_name: request.commonName,
      alt_names: request.dnsNames.join(","),
      ip_sans: request.ipAddresses.join(","),
    },
    capability: "create update",
    repeatable: true,
  });
  const data = answer.object("data");
  const issuingCa = data.nonEmptyString("issuing_ca");
  const signed = {
    certificate: data.nonEmptyString("certificate"),
    issuingCa,
    // A string before Vault 1.11; absent if the issuer has no chain.
    caChain: typeof data.fields.ca_chain === "string" ? [data.fields.ca_chain] : data.strings("ca_chain"),
  };
  withinChain(data, [signed.certificate, issuingCa, ...signed.caChain]);
  return signed;
}
