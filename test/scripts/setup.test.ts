import { beforeAll, describe, expect, test } from "bun:test";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { api } from "../cluster/api.ts";
import { goldenTokens, readObjects, wantedObjects } from "../cluster/objects.ts";
import { devServer } from "../support/dev-server.ts";
import { runScript, type ScriptResult } from "../support/script.ts";

const { server } = await devServer();
const admin = api(server.address, server.rootToken);
const env = { VAULT_ADDR: server.address, VAULT_TOKEN: server.rootToken };
const tokenFlags = Object.entries(goldenTokens).flatMap(([role, id]) => [`--init-token-${role}`, id]);

let mounts: ScriptResult;
let roles: ScriptResult;
beforeAll(async () => {
  mounts = await runScript("setup-mounts", ["golden"], { env });
  roles = await runScript("write-roles", ["golden", ...tokenFlags], { env });
}, 60_000);

describe("setup-mounts and write-roles", () => {
  test("make every object of the golden file, and no other", async () => {
    const wanted = wantedObjects("golden", goldenTokens);
    expect(await readObjects(admin, "golden", wanted)).toEqual(wanted);
  });

  test("print each change in a line, then their number", () => {
    expect(mounts).toMatchObject({ code: 0, stderr: "" });
    expect(mounts.stdout.trimEnd().split("\n")).toEqual([
      "update auth tuning auth/token: max_lease_ttl 32d -> 5y",
      "create mount golden/pki/etcd-k8s",
      "create mount golden/pki/etcd-overlay",
      "create mount golden/pki/k8s",
      "create mount golden/pki/k8s-api-proxy",
      "create mount golden/secrets",
      "create CA golden/pki/etcd-k8s",
      "create CA golden/pki/etcd-overlay",
      "create CA golden/pki/k8s",
      "create CA golden/pki/k8s-api-proxy",
      "golden: 10 changes (9 created, 1 updated)",
    ]);
    expect(roles).toMatchObject({ code: 0, stderr: "" });
    const lines = roles.stdout.trimEnd().split("\n");
    expect(lines).toHaveLength(33);
    expect(lines.slice(0, -1).every((line) => /^create [\w' ]+ [\w/-]+$/.test(line))).toBe(true);
    expect(lines.at(-1)).toBe("golden: 32 changes (32 created, 0 updated)");
  });
});

describe("the CA of a mount", () => {
  test.each(["etcd-k8s", "etcd-overlay", "k8s", "k8s-api-proxy"])(
    "%s is the same as the original's",
    async (name) => {
      const mount = `golden/pki/${name}`;
      const issuers = await admin.list(`${mount}/issuers`);
      expect(issuers).toHaveLength(1);
      const { certificate } = await admin.find(`${mount}/issuer/${issuers[0]}`);
      const ca = new X509Certificate(String(certificate));
      expect(ca.subject).toBe(`CN=Kubernetes golden/${name} CA`);
      expect(ca.issuer).toBe(ca.subject);
      expect(ca.verify(ca.publicKey)).toBe(true);
      expect(ca.ca).toBe(true);
      expect(ca.subjectAltName).toBeUndefined();
      const days = (Date.parse(ca.validTo) - Date.parse(ca.validFrom)) / 86_400_000;
      expect(days).toBeCloseTo(20 * 365, 1);
    },
  );
});

describe("the secrets of a cluster", () => {
  test("hold an encryption config for kube-apiserver", async () => {
    const { content } = await admin.find("golden/secrets/encryption-config");
    const secret = /secret: (\S+)/.exec(String(content))?.[1] ?? "";
    expect(Buffer.from(secret, "base64")).toHaveLength(32);
    expect(Bun.YAML.parse(String(content))).toEqual({
      kind: "EncryptionConfig",
      apiVersion: "v1",
      resources: [
        {
          resources: ["secrets", "configmaps"],
          providers: [{ aescbc: { keys: [{ name: "key1", secret }] } }, { identity: {} }],
        },
      ],
    });
  });

  test("hold an RSA-4096 key in PKCS#1 for service accounts", async () => {
    const { key: pem } = await admin.find("golden/secrets/service-accounts");
    expect(String(pem)).toStartWith("-----BEGIN RSA PRIVATE KEY-----\n");
    const key = createPrivateKey({ key: String(pem), format: "pem", type: "pkcs1" });
    expect(key.asymmetricKeyType).toBe("rsa");
    expect(key.asymmetricKeyDetails?.modulusLength).toBe(4096);
  });
});
