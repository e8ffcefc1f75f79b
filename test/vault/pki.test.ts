import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { createVaultClient } from "../../lib/vault/client.ts";
import { generateRoot } from "../../lib/vault/issuers.ts";
import {
  issuerOfSignPath,
  listCertificates,
  readPkiRole,
  readStoredCertificate,
  revokeCertificate,
  rotateCrls,
  signCsr,
  writePkiRole,
} from "../../lib/vault/pki.ts";
import { enableMount, tuneMount } from "../../lib/vault/sys.ts";
import { devServer } from "../support/dev-server.ts";
import { openssl, opensslEcKey } from "../support/openssl.ts";
import { vaultErrorOf } from "../support/vault.ts";

const { server, client } = await devServer();

const dayRole = { key_type: "any", key_bits: 0, allow_any_name: true, ttl: "24h", max_ttl: "24h" };

/** A CSR and a request with the same names, since a role may use either. */
function request(commonName: string) {
  const names = "subjectAltName=DNS:a.test,DNS:b.test,IP:127.0.0.1,IP:::1";
  const csr = openssl(
    ["req", "-new", "-key", "/dev/stdin", "-subj", `/CN=${commonName}`, "-addext", names],
    opensslEcKey("P-256"),
  );
  return { csr, commonName, dnsNames: ["a.test", "b.test"], ipAddresses: ["127.0.0.1", "::1"] };
}

/** A mount with a CA and a role that signs for a day. */
async function mountWithCa(mount: string, caSeconds = 864_000): Promise<void> {
  await enableMount(client, mount, "pki", { maxLeaseTtlSeconds: caSeconds });
  await generateRoot(client, mount, { commonName: "Kubernetes demo/k8s CA", ttlSeconds: caSeconds });
  await writePkiRole(client, `${mount}/roles/any`, dayRole);
}

describe("issuerOfSignPath()", () => {
  test.each([
    ["demo/pki/k8s/sign/kubelet", "demo/pki/k8s/issuer/default"],
    ["pki/sign/sign", "pki/issuer/default"],
    ["a/sign/b/sign/it", "a/sign/b/issuer/default"],
    ["pki/issuer/g2/sign/it", "pki/issuer/g2"],
    ["a/b/issuer/default/sign/it", "a/b/issuer/default"],
    ["issuer/sign/it", "issuer/issuer/default"],
    ["a/issuer/sign/it", "a/issuer/issuer/default"],
    ["pki/sign-verbatim/it", "pki/issuer/default"],
    ["pki/issuer/g2/sign-verbatim/it", "pki/issuer/g2"],
    ["pki/sign-verbatim", "pki/issuer/default"],
  ])("finds for %s the issuer %s", (path, issuer) => {
    expect(issuerOfSignPath(path)).toBe(issuer);
  });
});

describe("writePkiRole()", () => {
  test("writes the whole role that readPkiRole() returns", async () => {
    await mountWithCa("roles");
    expect(await readPkiRole(client, "roles/roles/none")).toBeUndefined();
    const path = "roles/roles/kubelet";
    await writePkiRole(client, path, { key_type: "any", key_bits: 0, organization: ["system:nodes"] });
    expect(await readPkiRole(client, path)).toMatchObject({
      key_type: "any",
      organization: ["system:nodes"],
    });
    await writePkiRole(client, path, { key_type: "any", key_bits: 0 });
    expect(await readPkiRole(client, path)).toMatchObject({ organization: [] });
  });
});

describe("signCsr()", () => {
  test.each([true, false])(
    "gives a certificate with the names if the role takes them from the CSR: %p",
    async (own) => {
      const mount = `signs-${own}`;
      await mountWithCa(mount);
      const role = { ...dayRole, use_csr_sans: own, use_csr_common_name: own };
      await writePkiRole(client, `${mount}/roles/any`, role);
      const signed = await signCsr(client, `${mount}/sign/any`, request("node-1"));
      const certificate = new X509Certificate(signed.certificate);
      expect(certificate.subject).toBe("CN=node-1");
      for (const name of ["DNS:a.test", "DNS:b.test", "IP Address:127.0.0.1", "IP Address:0:0:0:0:0:0:0:1"]) {
        expect(certificate.subjectAltName).toContain(name);
      }
      expect(certificate.verify(new X509Certificate(signed.issuingCa).publicKey)).toBe(true);
      expect(signed.caChain).toEqual([signed.issuingCa]);
    },
  );

  async function refused(path: string) {
    let retries = 0;
    const { address, rootToken: token } = server;
    const once = createVaultClient({ address, token, onRetry: () => retries++ });
    const error = await vaultErrorOf(() => signCsr(once, path, request("node")));
    return { kind: error.kind, hint: error.hint, retries };
  }

  test("says what to do about a mount without a CA", async () => {
    await enableMount(client, "empty", "pki", {});
    await writePkiRole(client, "empty/roles/any", dayRole);
    expect(await refused("empty/sign/any")).toEqual({
      kind: "config",
      hint: "the mount has no CA, or no default one: run setup-mounts for this cluster",
      retries: 0,
    });
  });

  test("says what to do about a missing role, and one that signs only RSA keys", async () => {
    await mountWithCa("roleless");
    await writePkiRole(client, "roleless/roles/rsa", { ...dayRole, key_type: "rsa", key_bits: 2048 });
    const hint = expect.stringContaining("write-roles");
    expect(await refused("roleless/sign/none")).toEqual({ kind: "config", hint, retries: 0 });
    expect(await refused("roleless/sign/rsa")).toEqual({ kind: "data", hint, retries: 0 });
  });

  test("says what to do about a CA that expires before the certificate", async () => {
    await mountWithCa("short", 3_600);
    // The mount's own limit would shorten the certificate's validity.
    await tuneMount(client, "short", { maxLeaseTtlSeconds: 864_000 });
    const hint = expect.stringContaining("the CA expires before");
    expect(await refused("short/sign/any")).toEqual({ kind: "unavailable", hint, retries: 0 });
  });

  test("says that the CSR is not valid", async () => {
    await mountWithCa("csrs");
    const error = await vaultErrorOf(() =>
      signCsr(client, "csrs/sign/any", { ...request("a"), csr: "nothing" }),
    );
    expect(error.kind).toBe("data");
  });
});

describe("revokeCertificate()", () => {
  test("puts a certificate on its issuer's CRL, and does no harm the second time", async () => {
    await mountWithCa("revoked");
    const { certificate } = await signCsr(client, "revoked/sign/any", request("node-1"));
    const serial = new X509Certificate(certificate).serialNumber.toLowerCase();
    const colons = serial.replace(/..(?=.)/g, "$&:");
    expect(await listCertificates(client, "revoked")).toContain(colons);
    for (const _ of [1, 2]) await revokeCertificate(client, "revoked", colons);
    await rotateCrls(client, "revoked");
    expect(await readStoredCertificate(client, "revoked", colons)).toMatchObject({ isRevoked: true });
    const crl = await (await fetch(`${server.address}/v1/revoked/crl/pem`)).text();
    expect(openssl(["crl", "-noout", "-text"], crl).toLowerCase()).toContain(serial);
  });
});
