import { withinChain } from "./chain.ts";
import type { VaultClient } from "./client.ts";
import { deleteData, listNames, readData, writeData } from "./data.ts";
import { isNothingThere, means } from "./error.ts";
import { type Answer, type Fields, isFields } from "./shape.ts";

/** An issuer as a mount lists it, which needs no token. */
export interface ListedIssuer {
  readonly id: string;
  /** Empty if it was given none. */
  readonly name: string;
  /** The id of its key; empty if the mount does not hold that. Undefined for a server that doesn't list it. */
  readonly keyId: string | undefined;
  /** As the server writes it: `27:e0:bf`. Undefined for a server that doesn't list it. */
  readonly serial: string | undefined;
  readonly isDefault: boolean;
}

/**
 * The issuers of a PKI mount, in the server's order, which means nothing; none in a new mount. Needs no token.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#list-issuers
 */
export async function listIssuers(client: VaultClient, mount: string): Promise<readonly ListedIssuer[]> {
  try {
    const answer = await client.ask({
      method: "GET",
      path: `${mount}/issuers`,
      list: true,
      capability: "list",
      repeatable: true,
    });
    const data = answer.object("data");
    const info = isFields(data.fields.key_info) ? data.object("key_info") : undefined;
    return data.strings("keys").map((id) => listedIssuer(id, info));
  } catch (error) {
    if (isNothingThere(error)) return [];
    throw error;
  }
}

function listedIssuer(id: string, info: Answer | undefined): ListedIssuer {
  const fields = isFields(info?.fields[id]) ? info.object(id) : undefined;
  const text = (name: string) => (fields?.fields[name] === undefined ? undefined : fields.string(name));
  return {
    id,
    name: text("issuer_name") ?? "",
    keyId: text("key_id"),
    serial: text("serial_number") || undefined,
    isDefault: fields?.fields.is_default === true,
  };
}

/** Which of a PKI mount's issuers signs for roles that name none. */
export interface IssuersConfig {
  /** The id of the default issuer; undefined if there is none. */
  readonly defaultId: string | undefined;
  /** Whether the server makes each new issuer the default by itself. */
  readonly followsLatest: boolean;
}

/**
 * A PKI mount's choice of its default issuer.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#read-issuers-configuration
 */
export async function readIssuersConfig(client: VaultClient, mount: string): Promise<IssuersConfig> {
  const data = await readData(client, `${mount}/config/issuers`);
  return {
    defaultId: data?.string("default") || undefined,
    // Vault before 1.13 does not know it.
    followsLatest: data?.fields.default_follows_latest_issuer === true,
  };
}

/**
 * Sets a PKI mount's default issuer. From then on the server chooses none by itself.
 *
 * @param id one of the mount's issuers
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#set-issuers-configuration
 */
export async function writeDefaultIssuer(client: VaultClient, mount: string, id: string): Promise<void> {
  await writeData(client, `${mount}/config/issuers`, { default: id, default_follows_latest_issuer: false });
}

/** An issuer of a PKI mount, with the fields that only an admin may read. */
export interface IssuerInfo {
  readonly id: string;
  /** Empty if it was given none. */
  readonly name: string;
  /** PEM. */
  readonly certificate: string;
  /** Empty if the mount does not hold its key. */
  readonly keyId: string;
  /** Whether it may sign certificates. */
  readonly mayIssue: boolean;
  /** `err` if it refuses to sign a certificate that would expire after it. */
  readonly leafNotAfterBehavior: string;
  /** The ids of the issuers that an admin has chosen for its chain; none if the server finds them. */
  readonly manualChain: readonly string[];
  /** What else an admin may have set, with the server's names. */
  readonly settings: Fields;
}

/** The settings that decide about the content and the end of certificates that an issuer signs. */
const settingNames = [
  "leaf_not_after_behavior",
  "issuing_certificates",
  "crl_distribution_points",
  "delta_crl_distribution_points",
  "ocsp_servers",
  "enable_aia_url_templating",
];

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
  const data = await readData(client, `${mount}/issuer/${id}`).catch(noneIfUnknown);
  return (
    data && {
      id,
      name: data.string("issuer_name"),
      certificate: data.nonEmptyString("certificate"),
      keyId: data.string("key_id"),
      mayIssue: data.string("usage").includes("issuing-certificates"),
      leafNotAfterBehavior: data.string("leaf_not_after_behavior"),
      manualChain: data.strings("manual_chain"),
      settings: Object.fromEntries(
        settingNames.flatMap((name) => (name in data.fields ? [[name, data.fields[name]]] : [])),
      ),
    }
  );
}

/** The server reports an id that it does not know as its own failure. */
function noneIfUnknown(error: unknown): undefined {
  if (!means(error, "unknownIssuer")) throw error;
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
  await postOnce(client, `${mount}/root/generate/internal`, { ...rootFields(root), ...keyFields(root) });
}

/**
 * Adds a self-signed CA with a new key, which never leaves the server. The default issuer stays.
 *
 * @param name of the new issuer
 * @param keyName of its key
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#rotate-root
 */
export async function addRoot(
  client: VaultClient,
  mount: string,
  name: string,
  root: RootRequest,
  keyName: string,
): Promise<void> {
  const body = { ...rootFields(root), ...keyFields(root), issuer_name: name, key_name: keyName };
  await postOnce(client, `${mount}/root/rotate/internal`, body);
}

/**
 * Adds an issuer with a new self-signed certificate for a key that the mount holds. The default issuer stays.
 *
 * @param name of the new issuer
 * @param keyId of the key
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#rotate-root
 */
export async function renewRoot(
  client: VaultClient,
  mount: string,
  name: string,
  keyId: string,
  root: RootRequest,
): Promise<void> {
  const body = { ...rootFields(root), issuer_name: name, key_ref: keyId };
  await postOnce(client, `${mount}/root/rotate/existing`, body);
}

function rootFields({ commonName, ttlSeconds }: RootRequest): Fields {
  return { common_name: commonName, ttl: `${ttlSeconds}s`, exclude_cn_from_sans: true };
}

function keyFields({ key }: RootRequest): Fields {
  return key === undefined ? {} : { key_type: key.type, key_bits: key.bits };
}

/** @throws VaultError. If the first request took effect, a repeat would add a second issuer. */
async function postOnce(client: VaultClient, path: string, body: Fields): Promise<void> {
  await client.request({ method: "POST", path, body, capability: "create update", repeatable: false });
}

/** The keys to certify a CA with another CA's key. */
export interface CrossSigning {
  /** The issuer that signs. */
  readonly signerId: string;
  /** The key that is certified. */
  readonly keyId: string;
  readonly commonName: string;
  /** The end of the certificate. The server shortens it to the signer's. */
  readonly notAfter: Date;
}

/**
 * A certificate for one CA's key, signed by another CA of the mount, in PEM. The mount stores it among its
 * certificates, but not as an issuer.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#generate-intermediate-csr
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#sign-intermediate
 */
export async function crossSign(client: VaultClient, mount: string, asked: CrossSigning): Promise<string> {
  const { signerId, keyId, commonName, notAfter } = asked;
  const write = { method: "POST", capability: "create update", repeatable: true } as const;
  const request = await client.ask({
    ...write,
    path: `${mount}/intermediate/cross-sign`,
    body: { common_name: commonName, key_ref: keyId, exclude_cn_from_sans: true },
  });
  const signed = await client.ask({
    ...write,
    path: `${mount}/issuer/${signerId}/sign-intermediate`,
    body: {
      csr: request.object("data").nonEmptyString("csr"),
      use_csr_values: true,
      not_after: notAfter.toISOString().replace(/\.\d+/, ""),
    },
  });
  return signed.object("data").nonEmptyString("certificate");
}

/**
 * Adds a certificate to a PKI mount as an issuer. It gets its key if the mount holds that. To import the same
 * certificate again changes nothing.
 *
 * @param certificate PEM
 * @returns the issuer's id
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#import-ca-certificates-and-keys
 */
export async function importIssuer(client: VaultClient, mount: string, certificate: string): Promise<string> {
  const answer = await client.ask({
    method: "POST",
    path: `${mount}/issuers/import/cert`,
    body: { pem_bundle: certificate },
    capability: "create update",
    repeatable: true,
  });
  const data = answer.object("data");
  const [id] = [...data.strings("imported_issuers"), ...data.strings("existing_issuers")];
  if (id === undefined) throw data.mismatch("names no issuer");
  return id;
}

/**
 * Gives an issuer a name, and takes the right to sign from it. Its other fields get the server's defaults.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#update-issuer
 */
export async function writeReadOnlyIssuer(
  client: VaultClient,
  mount: string,
  id: string,
  name: string,
): Promise<void> {
  await writeData(client, `${mount}/issuer/${id}`, { issuer_name: name, usage: "read-only" });
}

/**
 * Changes fields of an issuer, and leaves the others as they are.
 *
 * @param fields with the server's names
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#update-issuer
 */
export async function patchIssuer(
  client: VaultClient,
  mount: string,
  id: string,
  fields: Fields,
): Promise<void> {
  await client.request({
    method: "PATCH",
    path: `${mount}/issuer/${id}`,
    body: fields,
    capability: "patch",
    repeatable: true,
  });
}

/**
 * Removes an issuer. Its key stays in the mount. It is no error if there is none.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#delete-issuer
 */
export async function deleteIssuer(client: VaultClient, mount: string, id: string): Promise<void> {
  await deleteData(client, `${mount}/issuer/${id}`).catch(noneIfUnknown);
}

/**
 * The ids of a PKI mount's keys, also of those that no issuer uses.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#list-keys
 */
export async function listKeys(client: VaultClient, mount: string): Promise<readonly string[]> {
  return await listNames(client, `${mount}/keys`);
}

/**
 * Gives a key another name.
 *
 * @param key its id or name
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#update-key
 */
export async function writeKeyName(
  client: VaultClient,
  mount: string,
  key: string,
  name: string,
): Promise<void> {
  await writeData(client, `${mount}/key/${key}`, { key_name: name }, "update");
}

/**
 * Deletes a key. What it signed stays valid, but nothing can be signed or revoked with it again. It is no error if
 * there is none. The server refuses it for a key that an issuer uses.
 *
 * @param key its id or name
 * @see https://developer.hashicorp.com/vault/api-docs/secret/pki/issuance#delete-key
 */
export async function deleteKey(client: VaultClient, mount: string, key: string): Promise<void> {
  await deleteData(client, `${mount}/key/${key}`);
}
