import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readCertificates } from "../../lib/x509/certificate.ts";
import { startCluster } from "../support/cluster-server.ts";
import type { Host } from "../support/host.ts";
import { openssl } from "../support/openssl.ts";
import type { Fault } from "../support/relay.ts";
import { commonName, expectMatching, issueAsAdmin, startWorkerOf } from "./worker.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const startWorker = (fault?: Fault) => startWorkerOf(cluster, fault);
const issueAs = (host: Host, path: string, ...more: string[]) => issueAsAdmin(cluster, host, path, ...more);

async function read(path: string, body: object): Promise<Record<string, unknown>> {
  const answer = await cluster.admin.ask({
    method: "POST",
    path,
    body,
    capability: "update",
    repeatable: false,
  });
  return { ...answer.object("data").fields };
}
const subjects = (path: string) =>
  readCertificates(readFileSync(path, "utf8"), "it").map((it) => it.commonName);

describe("issue-cert with an intermediate CA", () => {
  const sign = "mid/sign/any";
  beforeAll(async () => {
    for (const [path, ttl] of [
      ["top", "87600h"],
      ["mid", "43800h"],
    ] as const) {
      await cluster.write(`sys/mounts/${path}`, { type: "pki", config: { max_lease_ttl: ttl } });
    }
    await cluster.write("top/root/generate/internal", { common_name: "Top CA", ttl: "87600h" });
    const asked = await read("mid/intermediate/generate/internal", { common_name: "Mid CA" });
    const signed = await read("top/root/sign-intermediate", {
      csr: asked.csr,
      common_name: "Mid CA",
      ttl: "40000h",
    });
    await cluster.write("mid/intermediate/set-signed", {
      certificate: `${signed.certificate}\n${signed.issuing_ca}`,
    });
    await cluster.write("mid/roles/any", {
      allow_any_name: true,
      enforce_hostnames: false,
      key_type: "any",
      ttl: "24h",
    });
  });

  test("presents the intermediate with the certificate, and trusts the root with --ca-chain", async () => {
    await using host = await startWorker();
    expect((await issueAs(host, sign, "--ca-chain")).code).toBe(0);
    expect(subjects(`${host.destination}.pem`)).toEqual([commonName, "Mid CA"]);
    expect(subjects(`${host.destination}-ca.pem`)).toEqual(["Mid CA", "Top CA"]);
    await expectMatching(host);
    // Whether a client that trusts only the root accepts what the server presents.
    const root = join(host.path, "root.pem");
    await Bun.write(root, readCertificates(host.read(`${host.destination}-ca.pem`), "it")[1]?.pem ?? "");
    expect(
      openssl([
        "verify",
        "-CAfile",
        root,
        "-untrusted",
        `${host.destination}.pem`,
        `${host.destination}.pem`,
      ]),
    ).toContain(": OK");
    expect((await issueAs(host, sign, "--ca-chain", "--if-due")).stdout).toContain("is not due");
  });

  test("trusts only the signing CA without --ca-chain", async () => {
    await using host = await startWorker();
    expect((await issueAs(host, sign)).code).toBe(0);
    expect(subjects(`${host.destination}-ca.pem`)).toEqual(["Mid CA"]);
    expect((await issueAs(host, sign, "--if-due")).stdout).toContain("is not due");
  });
});

describe("issue-cert with a CA that is signed twice", () => {
  const role = { allow_any_name: true, enforce_hostnames: false, key_type: "any", ttl: "24h" };
  const mount = (path: string) =>
    cluster.write(`sys/mounts/${path}`, { type: "pki", config: { max_lease_ttl: "87600h" } });
  const imported = async (path: string, pem: unknown) => {
    const { imported_issuers: ids } = await read(`${path}/issuers/import/bundle`, { pem_bundle: pem });
    return String(Array.isArray(ids) ? ids[0] : "");
  };
  /** Whether a client that trusts one root accepts what a host presents, through one of the CA's certificates. */
  const expectTrusted = async (host: Host, root: unknown, intermediate: number) => {
    const shown = readCertificates(host.read(`${host.destination}.pem`), "it");
    const files = [join(host.path, "root.pem"), join(host.path, "shown.pem")] as const;
    await Bun.write(files[0], String(root));
    await Bun.write(files[1], shown[intermediate]?.pem ?? "");
    const verify = ["verify", "-CAfile", files[0], "-untrusted", files[1], `${host.destination}.pem`];
    expect(openssl(verify)).toContain(": OK");
  };

  test("by two roots, with a chain configured by hand, presents both certificates, and is not issued again", async () => {
    const roots = ["root-a", "root-b"] as const;
    await mount("cross");
    const asked = await read("cross/intermediate/generate/internal", { common_name: "Int" });
    const ids: string[] = [];
    const certificates: unknown[] = [];
    for (const root of roots) {
      await mount(root);
      const made = await read(`${root}/root/generate/internal`, { common_name: root, ttl: "80000h" });
      const signed = await read(`${root}/root/sign-intermediate`, {
        csr: asked.csr,
        common_name: "Int",
        use_csr_values: true,
        ttl: "70000h",
      });
      certificates.push(made.certificate);
      ids.push(await imported("cross", signed.certificate), await imported("cross", made.certificate));
    }
    const [first = "", ...above] = ids;
    await cluster.write("cross/config/issuers", { default: first });
    await cluster.write(`cross/issuer/${first}`, { manual_chain: ["self", ...above] });
    await cluster.write("cross/roles/any", role);

    await using host = await startWorker();
    expect((await issueAs(host, "cross/sign/any", "--ca-chain")).code).toBe(0);
    expect(subjects(`${host.destination}.pem`)).toEqual([commonName, "Int", "Int"]);
    const [anchor, ...trusted] = subjects(`${host.destination}-ca.pem`);
    expect([anchor, ...trusted.toSorted()]).toEqual(["Int", "root-a", "root-b"]);
    await expectTrusted(host, certificates[0], 1);
    await expectTrusted(host, certificates[1], 2);
    const again = await issueAs(host, "cross/sign/any", "--ca-chain", "--if-due", "--refresh-ca");
    expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining("is not due") });
  });

  test("by the previous CA presents the certificate that leads there, and no other", async () => {
    await mount("next");
    await cluster.write("next/roles/any", role);
    const old = await read("next/root/generate/internal", { common_name: "the CA", ttl: "80000h" });
    const next = await read("next/root/rotate/internal", { common_name: "the CA", ttl: "80000h" });
    await using host = await startWorker();
    expect((await issueAs(host, "next/sign/any")).code).toBe(0);
    expect(subjects(`${host.destination}.pem`)).toEqual([commonName]);

    await cluster.write("next/config/issuers", { default: next.issuer_id });
    const asked = await read("next/intermediate/cross-sign", { common_name: "the CA", key_ref: next.key_id });
    const crossed = await read(`next/issuer/${old.issuer_id}/sign-intermediate`, {
      csr: asked.csr,
      common_name: "the CA",
      use_csr_values: true,
      ttl: "70000h",
    });
    await imported("next", crossed.certificate);
    const refreshed = await issueAs(host, "next/sign/any", "--if-due", "--refresh-ca");
    // The mount had both CAs already, and nothing leads on from the old one.
    expect(refreshed).toMatchObject({ code: 0, stdout: expect.stringContaining("is not due") });
    expect(subjects(`${host.destination}-ca.pem`)).toEqual(["the CA", "the CA"]);
    expect((await issueAs(host, "next/sign/any")).code).toBe(0);
    expect(subjects(`${host.destination}.pem`)).toEqual([commonName, "the CA"]);
    expect(subjects(`${host.destination}-ca.pem`)).toEqual(["the CA", "the CA"]);
    await expectTrusted(host, old.certificate, 1);
    await expectMatching(host);
    const again = await issueAs(host, "next/sign/any", "--if-due", "--refresh-ca");
    expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining("is not due") });
  });
});
