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

  test("shows the intermediate with the certificate, and with --ca-chain trusts the root", async () => {
    await using host = await startWorker();
    expect((await issueAs(host, sign, "--ca-chain")).code).toBe(0);
    expect(subjects(`${host.destination}.pem`)).toEqual([commonName, "Mid CA"]);
    expect(subjects(`${host.destination}-ca.pem`)).toEqual(["Mid CA", "Top CA"]);
    await expectMatching(host);
    // What a client that trusts the root alone does with what the server shows.
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

  test("without --ca-chain trusts the signer alone", async () => {
    await using host = await startWorker();
    expect((await issueAs(host, sign)).code).toBe(0);
    expect(subjects(`${host.destination}-ca.pem`)).toEqual(["Mid CA"]);
    expect((await issueAs(host, sign, "--if-due")).stdout).toContain("is not due");
  });
});
