import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createPrivateKey } from "node:crypto";
import { chownSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { certificateOf, expectCertificate, type OldHost } from "../original/host.ts";
import { startOldCluster } from "../original/server.ts";
import { certificates, certificateUnit, tokenRenewal } from "../original/units.ts";
import { opensslRsaKey } from "../support/openssl.ts";

// Tarmak's hosts go on working if only /opt/bin/vault-helper is replaced.

const cluster = await startOldCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

describe.each(["etcd", "master", "worker"] as const)("a Tarmak host, %s,", (role) => {
  let host: OldHost;
  beforeAll(async () => {
    host = await cluster.host(role);
  });
  afterAll(() => host[Symbol.dispose]());

  test("exchanges its init token with Tarmak's unit, and renews the token the day after", async () => {
    for (const how of ["init token exchanged for a host token", "token renewed"]) {
      const { code, stdout } = await host.start(tokenRenewal);
      expect([code, stdout]).toEqual([0, expect.stringContaining(how)]);
    }
    expect([host.rights("/etc/vault/init-token"), host.rights("/etc/vault/token")]).toEqual([
      undefined,
      "0600 0:0",
    ]);
  });

  test("gets every certificate with Tarmak's units, a new one each day with the existing key", async () => {
    for (const wanted of certificates[role]) {
      const first = await host.start(certificateUnit(wanted));
      expect([wanted.name, first.code, first.stderr]).toEqual([wanted.name, 0, ""]);
      expectCertificate(host, wanted);
      const before = [host.read(`${wanted.base}-key.pem`), certificateOf(host, wanted.base).serialNumber];
      expect((await host.start(certificateUnit(wanted))).code).toBe(0);
      const after = [host.read(`${wanted.base}-key.pem`), certificateOf(host, wanted.base).serialNumber];
      expect([after[0] === before[0], after[1] === before[1]]).toEqual([true, false]);
    }
  }, 120_000);

  test("keeps the key that the Go tool made, and makes a new one if Puppet removed it", async () => {
    const [wanted] = certificates[role];
    const path = `${wanted.base}-key.pem`;
    const key = createPrivateKey(opensslRsaKey(2048)).export({ type: "pkcs1", format: "pem" }).toString();
    // Plain files of the service's user. The certificate is not yet for this key.
    const left = [
      ["-key.pem", key, 0o600],
      [".pem", host.read(`${wanted.base}.pem`), 0o644],
      ["-ca.pem", host.read(`${wanted.base}-ca.pem`), 0o644],
    ] as const;
    rmSync(host.outside(join(dirname(wanted.base), `.${basename(wanted.base)}.set`)), { recursive: true });
    for (const [end, content, mode] of left) {
      rmSync(host.outside(wanted.base + end));
      host.write(wanted.base + end, content, mode);
      chownSync(host.outside(wanted.base + end), wanted.uid, 0);
    }
    expect((await host.start(certificateUnit(wanted))).code).toBe(0);
    expect(host.read(path)).toBe(key);
    expectCertificate(host, wanted);
    // Puppet's module does this whenever the unit's text changes: rm -rf NAME-key.pem NAME-csr.pem
    rmSync(host.outside(path));
    expect((await host.start(certificateUnit(wanted))).code).toBe(0);
    expectCertificate(host, wanted);
  });

  test("may not get another role's certificate", async () => {
    const other = certificates[role === "etcd" ? "worker" : "etcd"][0];
    const { code, stderr } = await host.start(certificateUnit({ ...other, base: "/var/other" }));
    expect([code, stderr]).toEqual([77, expect.stringContaining("permission denied")]);
    expect(host.rights("/var/other.pem")).toBeUndefined();
  });
});

test("a host with a token but no role renews it with the same unit", async () => {
  using first = await cluster.host("worker");
  await first.start(tokenRenewal);
  using host = await cluster.host("worker", { initToken: undefined, initRole: undefined });
  host.write("/etc/vault/token", first.read("/etc/vault/token"));
  const { code, stdout, stderr } = await host.start(tokenRenewal);
  expect([code, stdout, stderr]).toEqual([0, expect.stringContaining("token renewed"), ""]);
});
