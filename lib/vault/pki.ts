import type { VaultClient } from "./client.ts";
import { deleteData, listNames, readData, writeData } from "./data.ts";
import { means } from "./error.ts";
import type { Answer, Fields } from "./shape.ts";

/**
 * The ids of a PKI mount's issuers; none in a new mount. Needs no token.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#list-issuers
 */
export async function listIssuers(client: VaultClient, mount: string): Promise<readonly string[]> {
  return await listNames(client, `${mount}/issuers`);
}

/**
 * The id of a PKI mount's default issuer; undefined if it has none.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#read-issuers-configuration
 */
export async function readDefaultIssuer(client: VaultClient, mount: string): Promise<string | undefined> {
  const data = await readData(client, `${mount}/config/issuers`);
  return data?.string("default") || undefined;
}

/**
 * Sets a PKI mount's default issuer.
 *
 * @param id one of the mount's issuers
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#set-issuers-configuration
 */
export async function writeDefaultIssuer(client: VaultClient, mount: string, id: string): Promise<void> {
  await writeData(client, `${mount}/config/issuers`, { default: id });
}

/** An issuer of a PKI mount, with the fields that only an admin may read. */
export interface IssuerInfo {
  readonly id: string;
  /** Empty if it was given none. */
  readonly name: string;
  /** PEM. */
  readonly certificate: string;
  readonly hasKey: boolean;
  /** Whether it may sign certificates. */
  readonly mayIssue: boolean;
  /** `err` if it refuses to sign a certificate that would expire after it. */
  readonly leafNotAfterBehavior: string;
}

/**
 * An issuer by its id; undefined if there is none.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#read-issuer
 */
export async function readIssuer(
  client: VaultClient,
  mount: string,
  id: string,
): Promise<IssuerInfo | undefined> {
  const data = await readData(client, `${mount}/issuer/${id}`);
  return (
    data && {
      id,
      name: data.string("issuer_name"),
      certificate: data.nonEmptyString("certificate"),
      hasKey: data.string("key_id") !== "",
      mayIssue: data.string("usage").includes("issuing-certificates"),
      leafNotAfterBehavior: data.string("leaf_not_after_behavior"),
    }
  );
}

/**
 * An issuer's certificate, followed by those above it, in PEM. Needs no token.
 *
 * @param path as `issuerOfSignPath` gives it
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#read-issuer-certificate
 */
export async function readIssuerChain(client: VaultClient, path: string): Promise<readonly string[]> {
  const answer = await client.ask({
    method: "GET",
    path: `${path}/json`,
    capability: "read",
    repeatable: true,
  });
  const data = answer.object("data");
  const certificate = data.nonEmptyString("certificate");
  return withinChain(data, [
    certificate,
    ...data.strings("ca_chain").filter((pem) => pem.trim() !== certificate.trim()),
  ]);
}

/** Whether a mount has a default issuer. Needs no token. */
export async function hasDefaultIssuer(client: VaultClient, mount: string): Promise<boolean> {
  try {
    await readIssuerChain(client, `${mount}/issuer/default`);
    return true;
  } catch (error) {
    if (means(error, "noIssuer")) return false;
    throw error;
  }
}

export interface RootRequest {
  readonly commonName: string;
  readonly ttlSeconds: number;
  /** @default the server's default, RSA 2048 */
  readonly key?: { readonly type: string; readonly bits: number } | undefined;
}

/**
 * Makes a self-signed CA whose key never leaves the server. Its common name is not added to its SANs.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#generate-root
 */
export async function generateRoot(client: VaultClient, mount: string, root: RootRequest): Promise<void> {
  const { commonName, ttlSeconds, key } = root;
  await client.request({
    method: "POST",
    path: `${mount}/root/generate/internal`,
    body: {
      common_name: commonName,
      ttl: `${ttlSeconds}s`,
      exclude_cn_from_sans: true,
      ...(key === undefined ? {} : { key_type: key.type, key_bits: key.bits }),
    },
    capability: "create update",
    // If the first request took effect, a repeat would add a second issuer.
    repeatable: false,
  });
}

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

/** Longer than any chain. Every certificate is compared with every other, and the files that hold them stay short. */
const mostCertificates = 32;
const mostCharacters = 128 * 1024;

/** @throws Failure (unavailable) if there are more certificates or characters than in any chain */
function withinChain<T extends readonly string[]>(data: Answer, pems: T): T {
  const begun = pems.reduce((sum, pem) => sum + pem.split("-----BEGIN ", mostCertificates + 2).length - 1, 0);
  const length = pems.reduce((sum, pem) => sum + pem.length, 0);
  if (pems.length <= mostCertificates && begun <= mostCertificates && length <= mostCharacters) return pems;
  throw data.mismatch("holds more certificates than a chain has");
}
