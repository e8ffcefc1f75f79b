import { generateKeyPair, randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { Failure } from "../failure.ts";
import type { VaultClient } from "../vault/client.ts";
import { readSecret, writeSecret } from "../vault/kv.ts";
import type { Cluster } from "./cluster.ts";

/** A secret that is made if it is missing and never changed afterwards. */
export interface WantedSecret {
  readonly path: string;
  readonly field: string;
  readonly make: () => Promise<string>;
}

/** The service account key, and the configuration with which kube-apiserver encrypts its data in etcd. */
export function secrets(cluster: Cluster): readonly WantedSecret[] {
  return [
    { path: `${cluster.id}/secrets/service-accounts`, field: "key", make: makeServiceAccountKey },
    { path: `${cluster.id}/secrets/encryption-config`, field: "content", make: makeEncryptionConfig },
  ];
}

/**
 * Writes a secret if it is missing. That is checked after the value was made, since another admin's run may have been
 * faster. (A kv version 1 engine can't write conditionally.)
 */
export async function writeIfMissing(
  client: VaultClient,
  path: string,
  field: string,
  make: () => Promise<string>,
): Promise<void> {
  const value = await make();
  if ((await readSecret(client, path)) === undefined) await writeSecret(client, path, { [field]: value });
}

/** The error for a secret with other fields: somebody else wrote it, and writing ours would remove theirs. */
export function missingField(path: string, field: string): Failure {
  return new Failure("config", `secret ${path} lacks its field ${field}`, {
    hint: "nothing was changed; remove that secret, or add the field",
  });
}

/** An RSA-4096 private key in PEM, PKCS #1. kube-controller-manager signs service account tokens with it. */
async function makeServiceAccountKey(): Promise<string> {
  // WebCrypto can't write PKCS #1.
  const { privateKey } = await promisify(generateKeyPair)("rsa", {
    modulusLength: 4096,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs1", format: "pem" },
  });
  return privateKey;
}

/**
 * The file for kube-apiserver's `--encryption-provider-config`.
 *
 * @see https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/
 */
async function makeEncryptionConfig(): Promise<string> {
  return `kind: EncryptionConfig
apiVersion: v1
resources:
  - resources:
      - secrets
      - configmaps
    providers:
      - aescbc:
          keys:
            - name: key1
              secret: ${randomBytes(32).toString("base64")}
      - identity: {}
`;
}
